import MemoryPrimitives
import Synchronization

// Requests that fail although there is memory, so that what callers do then can be tested.
extension PageFrameAllocator {
    /// Lets the `nth` request for frames from now on fail, once.
    ///
    /// Counted is each call that allocates a block or has frames promised, whichever way it would be served; not those
    /// with `.noFail`, which cannot fail, and not calls upon a promise, which has been given. Until then the frame caches
    /// are off. The failure is reported as any other.
    /// - Parameter nth: counted from 1; 0 for none, even if one was to fail.
    /// - Complexity: as `drainFrameCaches()`.
    @inline(never)
    public func failAllocation(nth: UInt) {
        checks.failureCountdown.store(nth, ordering: .relaxed)
        applyFrameCaches()
    }

    /// How many requests there are to come until one fails on purpose, that one included; 0 where none is to.
    public var requestsUntilFailure: UInt { checks.failureCountdown.load(ordering: .relaxed) }

    /// Counts a request. - Returns: true where it is the one that is to fail.
    @inline(never)
    func failsOnPurpose(_ flags: AllocationFlags) -> Bool {
        if flags.contains(.noFail) { return false }
        var left = checks.failureCountdown.load(ordering: .relaxed)
        while left > 0 {
            let (exchanged, original) = checks.failureCountdown.weakCompareExchange(
                expected: left, desired: left - 1, ordering: .relaxed)
            if exchanged {
                if left > 1 { return false }
                applyFrameCaches()
                return true
            }
            left = original
        }
        return false
    }
}
