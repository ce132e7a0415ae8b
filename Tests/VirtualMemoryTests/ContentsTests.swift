import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import VirtualMemory

/// Reading past holes, changing sizes, making pages present.
@Suite struct ContentsTests {
    private func read(_ machine: VmallocMachine, _ address: VirtualAddress, _ count: Int) -> (
        bytes: [UInt8], known: Int
    ) {
        var bytes = [UInt8](repeating: 0xee, count: count)
        let known = machine.run {
            bytes.withUnsafeMutableBytes { machine.vmalloc.value.vread($0, address) }
        }
        return (bytes, known)
    }

    @Test func holesGuardsAndUntouchedPagesReadAsZeros() throws {
        let machine = VmallocMachine()
        let first = try #require(machine.allocate(3 * 4096))
        let second = try #require(machine.allocate(4096, populate: true))
        #expect(second == first + 4 * 4096, "a guard page is between")
        try machine.store(0x0807_0605_0403_0201, first + 4096)
        try machine.store(0x1817_1615_1413_1211, first + 8184)
        for offset in 0..<UInt(512) { try machine.store(0x2827_2625_2423_2221, second + offset * 8) }
        let faults = machine.statistics.resolvedFaults

        let (bytes, known) = read(machine, first + 1, 6 * 4096)
        #expect(known == 3 * 4096 - 1 + 4096)
        #expect(bytes[4095..<4103].elementsEqual([1, 2, 3, 4, 5, 6, 7, 8]))
        #expect(bytes[8183..<8191].elementsEqual([0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]))
        #expect(bytes[..<4095].allSatisfy { $0 == 0 } && bytes[8191..<16383].allSatisfy { $0 == 0 })
        #expect(bytes[16383..<20479].allSatisfy { (0x21...0x28).contains($0) })
        #expect(bytes[20479...].allSatisfy { $0 == 0 })
        #expect(machine.statistics.resolvedFaults == faults, "nothing was touched")
        machine.free(first)
        #expect(read(machine, first, 100).known == 0)
        #expect(read(machine, VirtualAddress(UInt.max - 9), 100).known == 0)
        #expect(read(machine, VirtualAddress(0), 5000) == ([UInt8](repeating: 0, count: 5000), 0))
        machine.free(second)
        #expect(machine.takeKinds() == [])
    }

    @Test(arguments: [false, true])
    func contentsMoveWithTheirMemory(populate: Bool) throws {
        let machine = VmallocMachine()
        let before = machine.snapshot()
        let address = try #require(machine.allocate(3 * 4096, populate: populate))
        for page in 0..<UInt(3) where page != 1 || populate {
            try machine.store(UInt64(page) + 5, address + page * 4096)
        }
        func resize(_ old: VirtualAddress?, _ size: UInt) -> VirtualAddress? {
            machine.run { machine.vmalloc.value.vrealloc(old, size, .kernel | .zero) }
        }
        #expect(resize(address, 100) == address)
        #expect(resize(address, 3 * 4096) == address)
        let moved = try #require(resize(address, 9 * 4096))
        for page in 0..<UInt(9) {
            let expected = page > 2 || (page == 1 && !populate) ? 0 : UInt64(page) + 5
            #expect(try machine.load(moved + page * 4096) == expected)
        }
        #expect(throws: (any Error).self) { try machine.load(address) }
        // What cannot be had leaves the old memory as it was.
        #expect(resize(moved, 1 << 40) == nil)
        #expect(try machine.load(moved) == 5)
        #expect(machine.takeKinds() == [])
        #expect(resize(moved + 4096, 4096 * 20) == nil)
        #expect(machine.takeKinds() == [.misalignedFree])
        #expect(resize(moved, 0) == nil)
        #expect(resize(moved, 4096 * 20) == nil)
        #expect(machine.takeKinds() == [.doubleFree])
        let fresh = try #require(resize(nil, 10))
        machine.free(fresh)
        #expect(machine.snapshot() == before)
    }

    @Test func populatedPagesNeedNoFault() throws {
        let machine = VmallocMachine()
        let before = machine.snapshot()
        let address = try #require(machine.allocate(20 * 4096))
        try machine.store(7, address + 3 * 4096)
        let range = VirtualRange(address, address + 20 * 4096)
        #expect(machine.run { machine.vmalloc.value.populate(range) })
        let faults = machine.statistics.resolvedFaults
        #expect(faults == 20)
        for page in 0..<UInt(20) { #expect(try machine.load(address + page * 4096) == (page == 3 ? 7 : 0)) }
        #expect(machine.statistics.resolvedFaults == faults)
        let beyond = VirtualRange(address, address + 21 * 4096)
        #expect(!machine.run { machine.vmalloc.value.populate(beyond) }, "a guard page is not")
        try machine.checkAll()
        machine.free(address)
        #expect(machine.snapshot() == before)
    }
}
