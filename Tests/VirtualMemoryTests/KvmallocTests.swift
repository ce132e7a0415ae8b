import MemoryPrimitives
import PageFrames
import Slab
import Testing

@testable import VirtualMemory

@Suite struct KvmallocTests {
    // Direct-map memory is the arena's, which the test reaches; the rest goes through the simulated MMU.

    private func isArea(_ machine: VmallocMachine, _ address: VirtualAddress) -> Bool {
        VmallocMachine.space.contains(address)
    }

    @Test func fromKmallocAsLongAsThatHasIt() throws {
        let machine = VmallocMachine(mebibytes: 16)
        for shift in 0...19 {
            for size in [UInt(1) << UInt(shift), UInt(1) << UInt(shift) + 1] {
                let address = try #require(machine.kvmalloc(size, .kernel))
                #expect(!isArea(machine, address))
                machine.kvfree(address)
            }
        }
        #expect(machine.kvmalloc(0, .kernel)?.rawValue == TestedKmalloc.zeroSizeAddress)
        machine.kvfree(VirtualAddress(TestedKmalloc.zeroSizeAddress))
        machine.kvfree(nil)
        try machine.checkAll()
        #expect(machine.takeKinds() == [])
    }

    /// Memory in single frames only: whatever needs more than one in a row comes from vmalloc, and is zero where asked.
    @Test(arguments: [false, true])
    func fromVmallocWhereMemoryIsScattered(zero: Bool) throws {
        let machine = VmallocMachine(mebibytes: 16)
        let taken = machine.scatter()
        for size in [8193, 20_000, 1 << 19, 4 << 20 + 1] as [UInt] {
            let address = try #require(machine.kvmalloc(size, zero ? .kernel | .zero : .kernel))
            #expect(isArea(machine, address))
            for offset in stride(from: 0, to: size - 8, by: 4096) {
                if zero { #expect(try machine.load(address + offset) == 0) }
                try machine.store(UInt64(offset), address + offset)
            }
            for offset in stride(from: 0, to: size - 8, by: 4096) {
                #expect(try machine.load(address + offset) == UInt64(offset))
            }
            machine.kvfree(address)
            try machine.check()
        }
        machine.giveBack(taken)
        try machine.checkAll()
        #expect(machine.takeKinds() == [])
    }

    /// `kvzalloc` clears what others have left, wherever it gets the memory from; `kvmalloc` leaves it.
    @Test func kvzallocClears() throws {
        let machine = VmallocMachine(mebibytes: 16)
        for isScattered in [false, true] {
            let taken = isScattered ? machine.scatter() : []
            for size in [64, 5000, 20_000, 1 << 19] as [UInt] {
                let dirty = try #require(machine.kvmalloc(size, .kernel))
                #expect(isArea(machine, dirty) == (isScattered && size > 8192))
                for offset in stride(from: 0, to: size - 7, by: 8) { try store(machine, .max, dirty + offset) }
                machine.kvfree(dirty)
                let address = try #require(machine.run { machine.vmalloc.value.kvzalloc(size) })
                #expect(isArea(machine, address) == isArea(machine, dirty))
                for offset in stride(from: 0, to: size - 7, by: 8) {
                    let word = try load(machine, address + offset)
                    #expect(word == 0, "offset \(offset) of \(size)")
                    if word != 0 { break }
                }
                machine.kvfree(address)
            }
            machine.giveBack(taken)
        }
        #expect(machine.run { machine.vmalloc.value.kvzalloc(0) }?.rawValue == TestedKmalloc.zeroSizeAddress)
        #expect(machine.run { machine.vmalloc.value.kvzalloc(.max) } == nil)
        try machine.checkAll()
        #expect(machine.takeKinds() == [])
    }

    private func load(_ machine: VmallocMachine, _ address: VirtualAddress) throws -> UInt64 {
        if isArea(machine, address) { return try machine.load(address) }
        return UnsafePointer<UInt64>(bitPattern: address.rawValue)!.pointee
    }

    private func store(_ machine: VmallocMachine, _ word: UInt64, _ address: VirtualAddress) throws {
        if isArea(machine, address) { return try machine.store(word, address) }
        UnsafeMutablePointer<UInt64>(bitPattern: address.rawValue)!.pointee = word
    }

    @Test func overflowAndWrongFrees() throws {
        let machine = VmallocMachine(mebibytes: 16)
        #expect(machine.run { machine.vmalloc.value.kvmalloc_array(1 << 33, 1 << 33) } == nil)
        #expect(machine.run { machine.vmalloc.value.kvcalloc(.max, 2) } == nil)
        #expect(machine.kvmalloc(.max, .kernel) == nil)
        #expect(machine.kvmalloc(1 << 40, .kernel) == nil)
        let small = try #require(machine.run { machine.vmalloc.value.kvcalloc(10, 10) })
        let large = try #require(machine.kvmalloc(5 << 20, .kernel))
        #expect(isArea(machine, large))
        machine.kvfree(small + 8)
        machine.kvfree(large + 4096)
        #expect(machine.takeKinds() == [.misalignedFree, .misalignedFree])
        for address in [small, large] {
            machine.kvfree(address)
            machine.kvfree(address)
        }
        #expect(machine.takeKinds() == [.doubleFree, .doubleFree])
        try machine.checkAll()
    }

    /// Each of the frames that the fallback takes is missing in turn.
    @Test func everyMissingFrame() throws {
        let machine = VmallocMachine(mebibytes: 16)
        for nth in 1...50 as ClosedRange<UInt> {
            let before = machine.snapshot()
            machine.run { machine.frames.value.failAllocation(nth: nth) }
            let address = machine.kvmalloc(5 << 20, .kernel)
            let isSpent = machine.run { machine.frames.value.requestsUntilFailure } == 0
            machine.run { machine.frames.value.failAllocation(nth: 0) }
            machine.kvfree(address)
            #expect(machine.snapshot() == before)
            try machine.check()
            if !isSpent {
                #expect(address != nil)
                return
            }
        }
        Issue.record("it makes requests without end")
    }
}

extension VmallocMachine {
    func kvmalloc(_ byteCount: UInt, _ flags: AllocationFlags) -> VirtualAddress? {
        run { vmalloc.value.kvmalloc(byteCount, flags) }
    }

    func kvfree(_ address: VirtualAddress?) { run { vmalloc.value.kvfree(address) } }

    /// Takes every second frame, so that none that are free lie side by side.
    func scatter() -> [PageFrameNumber] {
        run {
            var all: [PageFrameNumber] = []
            while let frame = frames.value.allocate(order: 0, flags: .kernel | .noWarn) { all.append(frame) }
            for frame in all where frame.rawValue & 1 == 0 { frames.value.free(frame, order: 0) }
            return all.filter { $0.rawValue & 1 == 1 }
        }
    }

    func giveBack(_ taken: [PageFrameNumber]) { run { for frame in taken { frames.value.free(frame, order: 0) } } }
}
