extension Watermarks {
    /// True where a zone has enough free frames for a request to be served from it.
    ///
    /// The flags matter at `min` only: `high` may go down to half of it, `tryHarder` to three quarters of what is then
    /// left and into what is reserved for urgent requests, `memoryReserves` to the last frame. `noMemoryReserves` takes
    /// back the last two. At `low` and `high` every request is treated alike.
    ///
    /// That a block of the order is free is another question, which the free lists answer.
    ///
    /// - Parameters:
    ///   - mark: what the free frames must be above, besides the lowmem reserve.
    ///   - free: the zone's free frames.
    ///   - order: log2 of the number of frames that are asked for, 0 to 10.
    ///   - highestZone: the highest zone that the request can be served from.
    ///   - flags: the request's flags.
    ///   - highAtomic: the frames among `free` that are reserved for urgent requests.
    ///   - contiguous: the frames among `free` that only movable contents may use.
    /// - Complexity: O(1).
    @inline(__always)
    public func isAbove(
        _ mark: Mark, free: UInt, order: Int, highestZone: ZoneKind, flags: AllocationFlags, highAtomic: UInt = 0,
        contiguous: UInt = 0
    ) -> Bool {
        let reserve = lowmemReserve[highestZone.rawValue]
        if mark == .min { return isAboveMinimum(free, order, reserve, flags, highAtomic, contiguous) }
        let unusable = Self.tail(order) &+ highAtomic &+ (flags.contains(.movable) ? 0 : contiguous)
        return free > self[mark] &+ reserve &+ unusable
    }

    /// `isAbove` at the min mark: out of the fast path.
    @inline(never)
    private func isAboveMinimum(
        _ free: UInt, _ order: Int, _ reserve: UInt, _ flags: AllocationFlags, _ highAtomic: UInt, _ contiguous: UInt
    ) -> Bool {
        if flags.ignoresWatermarks { return free > 0 }
        let triesHarder = flags.contains(.tryHarder) && !flags.contains(.noMemoryReserves)
        var unusable = Self.tail(order) &+ reserve
        if !triesHarder { unusable &+= highAtomic }
        if !flags.contains(.movable) { unusable &+= contiguous }
        if free > unusable &+ Self.lowered(self[.min], flags, triesHarder) { return true }
        // A boost is a wish; a single frame for an urgent request goes before it.
        guard boost != 0, order == 0, flags.contains(.tryHarder) else { return false }
        return free > unusable &+ Self.lowered(min, flags, triesHarder)
    }

    /// The frames of a block but one.
    @inline(__always)
    private static func tail(_ order: Int) -> UInt { (1 &<< UInt(truncatingIfNeeded: order)) &- 1 }

    private static func lowered(_ mark: UInt, _ flags: AllocationFlags, _ triesHarder: Bool) -> UInt {
        var lowered = mark
        if flags.contains(.high) { lowered &-= lowered / 2 }
        if triesHarder { lowered &-= lowered / 4 }
        return lowered
    }
}
