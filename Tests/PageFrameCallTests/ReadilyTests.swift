import MemoryPrimitives
import PageFrames
import SimulatedMachine
import TestSupport
import Testing

/// Frames for what its owner can do without.
@Suite struct ReadilyTests {
    /// What others may have down to the min mark is not had; nobody is asked to give way, and nothing is reported.
    @Test func onlyAboveTheLowMark() throws {
        let machine = try Machine(memory: [4096..<8192], minimumFreeKiB: nil)
        try machine.run {
            let before = machine.snapshot()
            var taken: [PageFrameNumber] = []
            while let frame = machine.frames.value.allocateReadily(flags: .none) { taken.append(frame) }
            let left = machine.frames.value.freeFrames
            #expect(taken.count > 3000 && left > 0)
            let isReclaimWanted = machine.frames.value.wantsReclaim
            #expect(!isReclaimWanted)
            #expect(machine.frames.value.allocateReadily(flags: .memoryReserves | .noFail) == nil)
            // An ordinary request still finds something.
            let frame = try need(machine.frames.value.allocate(order: 0, flags: .noWait | .noWarn))
            machine.frames.value.free(frame, order: 0)
            for frame in taken { machine.frames.value.free(frame, order: 0) }
            #expect(machine.snapshot().map { $0.suffix(3) } == before.map { $0.suffix(3) })
            try machine.frames.value.checkInvariants()
        }
        #expect(machine.takeKinds().isEmpty)
        #expect(machine.simulated.takeFailedAllocations().isEmpty)
    }

    @Test func failingOnPurposeConcernsIt() throws {
        let machine = try Machine(mebibytes: 16)
        machine.run {
            let before = machine.snapshot()
            machine.frames.value.failAllocation(nth: 1)
            #expect(machine.frames.value.allocateReadily(flags: .none) == nil)
            machine.frames.value.failAllocation(nth: 0)
            #expect(machine.snapshot() == before)
        }
    }
}
