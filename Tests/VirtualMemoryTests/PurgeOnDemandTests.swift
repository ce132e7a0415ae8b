import MemoryPrimitives
import PageFrames
import Paging
import SimulatedMachine
import Testing

@testable import VirtualMemory

/// Frees that are put off, of areas whose touches brought blocks, and what other calls do while they wait.
@Suite struct PurgeOnDemandTests {
    private func machine(space: VirtualRange = VmallocMachine.space) -> VmallocMachine {
        let machine = VmallocMachine(
            cpuCount: 2, space: space, touches: VmallocOptions(), purgeThreshold: PurgeTests.never)
        machine.settle()
        return machine
    }

    /// A block that a touch brought lies across no border of 64 pages, and so must not what is freed together.
    @Test(arguments: [1, 3, 4, 11, 16] as [UInt], [65, 100, 130, 511] as [UInt])
    func blocksOfTouchesComeBackWhole(pagesBefore: UInt, pages: UInt) throws {
        let machine = machine()
        let before = machine.snapshot()
        let first = try #require(machine.allocate(pagesBefore * 4096, populate: true))
        let area = try #require(machine.allocate(pages * 4096))
        for page in 0..<pages { try machine.store(1, area + page * 4096) }
        machine.free(area)
        #expect(machine.statistics.areas.retiredPages == pages)
        #expect(machine.purge() == pages)
        machine.free(first)
        machine.purge()
        machine.settle()
        #expect(machine.takeKinds() == [])
        try machine.checkAll()
        #expect(machine.snapshot() == before)
    }

    /// Every call that reserves addresses has what waits purged before it gives up.
    @Test func addressesThatWaitAreNotLacking() throws {
        let small = VirtualRange(VmallocMachine.space.start, VmallocMachine.space.start + 16 * 4096)
        let machine = machine(space: small)
        func fillWithWhatWaits() {
            machine.purge()
            machine.free(machine.allocate(13 * 4096, populate: true))
            #expect(machine.statistics.areas.retiredPages == 13)
        }
        fillWithWhatWaits()
        try machine.run {
            let device = try machine.vmalloc.value.mapDevice(PhysicalAddress(1 << 32), byteCount: 4 * 4096)
            machine.vmalloc.value.unmapDevice(device)
        }
        fillWithWhatWaits()
        machine.run {
            guard let draft = CodeDraft(byteCount: 2 * 4096, from: machine.vmalloc) else {
                Issue.record("no addresses for code")
                return
            }
            _ = consume draft
        }
        #expect(machine.machine.takeFailedAllocations().isEmpty)
    }
}
