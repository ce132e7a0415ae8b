import MemoryPrimitives

extension PageFrameAllocator {
    /// Checks every zone: free lists, descriptors, deferred sections, counts, and the promises over all zones.
    ///
    /// Each zone is checked under its lock; the promises add up only while no other CPU makes or calls upon one.
    ///
    /// - Throws: the first rule that does not hold.
    /// - Complexity: O(managed frames). For tests and the monitor.
    public func checkInvariants() throws(InvariantViolation) {
        var promised: UInt = 0
        for zone in 0..<ZoneKind.count {
            promised += try zones[zone].value.withState { (state) throws(InvariantViolation) in
                try state.checkInvariants()
                return state.promisedFrames
            }
        }
        if promised != promisedFrames {
            throw InvariantViolation(
                "the zones' promises are those outstanding", found: promised, expected: promisedFrames)
        }
    }
}
