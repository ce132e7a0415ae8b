import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Slab
import Testing

@testable import KernelMemory

/// Each call of `FailingCall.all` with each of its requests for page frames failing in turn, and each of its allocations of an
/// object: every counter is as before then, and every allocator sound.
///
/// The set-up of a `GuardedPool` has a test of its own, `GuardedPoolTests`, because a pool stays for good.
@Suite struct CallFailureTests {
    private func machine(_ failing: Failing, checks: Bool) throws -> KernelMachine {
        var configuration = Configuration()
        if failing == .objects { configuration.slab.failures = FailurePlan() }
        if checks { configuration.frames.checks = .poison | .owners | .guardPages }
        return try KernelMachine(.pc(bytes: 16 << 20), configuration)
    }

    @Test(arguments: FailingCall.all.indices, [false, true])
    func eachRequestForFramesFails(number: Int, checks: Bool) throws {
        let failing = FailingCall.all[number]
        let machine = try machine(.frames, checks: checks)
        let call = try failing.make(machine)
        let made = try machine.failEach(.frames, call)
        #expect(made >= failing.least, "\(failing.name) has made \(made) requests")
    }

    @Test(arguments: FailingCall.all.indices)
    func eachAllocationOfAnObjectFails(number: Int) throws {
        let failing = FailingCall.all[number]
        let machine = try machine(.objects, checks: false)
        let call = try failing.make(machine)
        _ = try machine.failEach(.objects, call)
    }

    /// Each name once, so that a failure says which it is.
    @Test func theNamesDiffer() {
        #expect(Set(FailingCall.all.map(\.name)).count == FailingCall.all.count)
        #expect(FailingCall.all.count > 20)
    }
}
