extension Watermarks {
    /// True where a zone has enough free frames for a request to be served from it.
    ///
    /// The flags matter at `min` only: `high` may go down to half of it, `tryHarder` to three quarters of what is then
    /// left, `memoryReserves` to the last frame. `noMemoryReserves` takes back the last two. At `low` and `high` every
    /// request is treated alike.
    ///
    /// That so many frames lie together is another question, which the free blocks answer.
    ///
    /// - Parameters:
    ///   - mark: what must be left free, besides the lowmem reserve and what is unusable.
    ///   - free: the zone's free frames.
    ///   - unusable: frames that the request may not have, such as promised ones.
    ///   - order: log2 of the number of frames that are asked for, 0 to 10.
    ///   - highestZone: the highest zone that the request can be served from.
    ///   - flags: the request's flags.
    /// - Complexity: O(1).
    @inline(__always)
    public func isAbove(
        _ mark: Mark, free: UInt, unusable: UInt = 0, order: Int, highestZone: ZoneKind, flags: AllocationFlags
    ) -> Bool {
        let needed = unusable &+ 1 &<< UInt(bitPattern: order)
        if mark == .min { return isAboveMinimum(free, needed, order, highestZone, flags) }
        return free >= needed &+ self[mark] &+ reserve(for: highestZone)
    }

    /// `isAbove` at the min mark: out of the fast path.
    /// - Parameter needed: the block's frames and those that are unusable.
    @inline(never)
    private func isAboveMinimum(
        _ free: UInt, _ needed: UInt, _ order: Int, _ highestZone: ZoneKind, _ flags: AllocationFlags
    ) -> Bool {
        if flags.ignoresWatermarks { return free >= needed }
        let triesHarder = flags.contains(.tryHarder) && !flags.contains(.noMemoryReserves)
        let needed = needed &+ reserve(for: highestZone)
        if free >= needed &+ Self.lowered(self[.min], flags, triesHarder) { return true }
        // A boost is a wish; a single frame for an urgent request goes before it.
        guard boost != 0, order == 0, flags.contains(.tryHarder) else { return false }
        return free >= needed &+ Self.lowered(min, flags, triesHarder)
    }

    /// The lowmem reserve. By cases, which copies no array.
    @inline(__always)
    private func reserve(for highestZone: ZoneKind) -> UInt {
        switch highestZone {
        case .dma: lowmemReserve[0]
        case .dma32: lowmemReserve[1]
        case .normal: lowmemReserve[2]
        }
    }

    private static func lowered(_ mark: UInt, _ flags: AllocationFlags, _ triesHarder: Bool) -> UInt {
        var lowered = mark
        if flags.contains(.high) { lowered &-= lowered / 2 }
        if triesHarder { lowered &-= lowered / 4 }
        return lowered
    }
}
