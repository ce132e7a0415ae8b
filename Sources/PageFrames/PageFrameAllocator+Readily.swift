import MemoryPrimitives

extension PageFrameAllocator {
    /// Allocates one frame for what its owner can do without: only from memory above the low marks, with nobody asked to
    /// give memory back and nothing reported where there is none. The leak detector does not look for it.
    ///
    /// A failure on purpose counts it, and is silent, too. Any context may call, one that gives memory back included: it does
    /// not come back to itself.
    /// - Parameter flags: where the memory may lie and what it is for; no reserves are touched, whatever they say.
    /// - Returns: as `allocate(order:flags:)`. - Complexity: O(1).
    public func allocateReadily(flags: AllocationFlags) -> PageFrameNumber? {
        let urgent: AllocationFlags = .noFail | .memoryReserves | .high | .tryHarder
        let flags = flags.subtracting(urgent) | .noLeakTrace
        let isChecked = checks.areActive
        if isChecked, failsOnPurpose(flags) { return nil }
        guard let frame = takeFromZones(ZoneRequest(order: 0, flags: flags, above: .low)) else { return nil }
        return isChecked
            ? handOut(frame, order: 0, flags, isGuarded: false) : finish(frame, order: 0, flags)
    }
}
