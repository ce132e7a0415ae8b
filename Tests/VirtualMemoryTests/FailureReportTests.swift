import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import VirtualMemory

/// What is said of an area that cannot be had.
@Suite struct FailureReportTests {
    private func failures(_ machine: VmallocMachine) -> [FailedAllocation] { machine.machine.takeFailedAllocations() }

    @Test func missingAddressesAndMissingFramesAreTold() throws {
        let small = VirtualRange(VmallocMachine.space.start, VmallocMachine.space.start + 16 * 4096)
        let machine = VmallocMachine(space: small)
        let before = machine.snapshot()
        _ = failures(machine)
        // 16 pages and a guard page do not fit into 16 pages, and there are frames enough.
        for populate in [false, true] {
            #expect(machine.allocate(16 * 4096, populate: populate) == nil)
            let found = failures(machine)
            #expect(found.map(\.lack) == [.addresses])
            #expect(found.map(\.byteCount) == [69632], "the guard page included")
        }
        // More than all memory: as Linux's 2^53 bytes.
        for populate in [false, true] {
            #expect(machine.allocate(1 << 53, populate: populate) == nil)
            let found = failures(machine)
            #expect(found.map(\.lack) == [.areaFrames])
            #expect(found.map(\.byteCount) == [1 << 53])
        }
        #expect(machine.allocate(1 << 53, flags: .kernel | .noWarn) == nil)
        #expect(machine.allocate(0) == nil)
        #expect(failures(machine).isEmpty, "nobody wants to know")
        #expect(machine.snapshot() == before)
    }

    @Test func aRangeThatCannotBeIsTold() {
        let machine = VmallocMachine()
        _ = failures(machine)
        machine.run {
            #expect(machine.ranges.allocate(AreaRequest(.vmalloc, pageCount: 1 << 41, name: "2^53 bytes")) == nil)
            #expect(machine.ranges.allocate(AreaRequest(.vmalloc, pageCount: .max, name: "all")) == nil)
        }
        #expect(failures(machine).map(\.byteCount) == [9_007_199_254_745_088, .max])
    }

    @Test func wrongAddressesAreTold() throws {
        let machine = VmallocMachine()
        let address = try #require(machine.allocate(4096))
        machine.free(address + (1 << 30))
        machine.free(address + (1 << 30) + 1)
        machine.free(address)
        machine.free(VirtualAddress(8))
        #expect(machine.takeKinds() == [.wildFree, .wildFree, .wildFree])
        try machine.checkAll()
    }
}
