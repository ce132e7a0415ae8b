import MemoryPrimitives
import TestSupport
import Testing

/// What can be told to fail on a kernel's machine.
enum Failing {
    /// A request for page frames (`fail_page_alloc=`), which a call may do without.
    case frames
    /// An allocation of an object (`failslab=`), which is the call's failure.
    case objects
}

extension KernelMachine {
    /// Runs `call` with its first step failing, then its second, and so on until it makes fewer. It returns what undoes
    /// it, or nil where it failed; every time every counter must be as before, and every allocator sound.
    /// - Parameter mayDoWithout: whether the call may succeed although it did not get an object.
    /// - Returns: how many of its steps were made to fail.
    func failEach(_ failing: Failing, mayDoWithout: Bool = false, _ call: () -> (() -> Void)?) throws -> Int {
        let point: FailurePoint
        switch failing {
        case .frames:
            let frames = memory.value.frames
            point = FailurePoint(
                arm: { nth in self.run { frames.value.failAllocation(nth: nth) } },
                left: { self.run { frames.value.requestsUntilFailure } })
        case .objects:
            let kmalloc = memory.value.kmalloc
            point = FailurePoint(
                arm: { nth in self.run { kmalloc.value.failAllocation(nth: nth) } },
                left: { self.run { kmalloc.value.allocationsUntilFailure } })
        }
        let steps = try failEachInTurn(
            point,
            counters: {
                self.run { self.drain() }
                return self.counters()
            },
            check: {
                #expect(self.run { self.memory.value.kmalloc.value.validate() } == 0)
                try self.check()
            }
        ) {
            self.run(call).map { undo in { self.run(undo) } }
        }
        if failing == .objects, !mayDoWithout { #expect(steps.survived == 0, "a failure is the call's") }
        return steps.failed
    }
}
