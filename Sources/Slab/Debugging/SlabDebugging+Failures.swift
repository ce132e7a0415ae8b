import MemoryPrimitives
import PageFrames
import Synchronization

// Allocations that fail although there is memory, so that what callers do then can be tested.
extension SlabDebugging {
    /// Counts an allocation from a cache that was chosen. - Returns: true where it is to fail.
    @inline(never)
    func failsOnPurpose(_ flags: AllocationFlags) -> Bool {
        if flags.contains(.noFail) { return false }
        let fails = countsDown() || isDrawn()
        if fails { injectedFailures.add(1, ordering: .relaxed) }
        return fails
    }

    private func countsDown() -> Bool {
        var left = failureCountdown.load(ordering: .relaxed)
        while left > 0 {
            let (exchanged, original) = failureCountdown.weakCompareExchange(
                expected: left, desired: left - 1, ordering: .relaxed)
            if exchanged { return left == 1 }
            left = original
        }
        return false
    }

    private func isDrawn() -> Bool {
        guard let percentage = options.failures?.percentage, percentage > 0 else { return false }
        // The golden ratio's sequence, well mixed (Steele, Lea and Flood 2014).
        var draw = draws.wrappingAdd(0x9e37_79b9_7f4a_7c15, ordering: .relaxed).newValue
        draw = (draw ^ draw &>> 30) &* 0xbf58_476d_1ce4_e5b9
        draw = (draw ^ draw &>> 27) &* 0x94d0_49bb_1331_11eb
        return (draw ^ draw &>> 31) % 100 < UInt64(percentage)
    }
}
