import MemoryPrimitives

extension PageFrameAllocator {
    /// As `free`, for a block that is not in the CPU's cache, because a device used it last, say: it is handed out again
    /// after those that are.
    ///
    /// - Complexity: as of `free`, and moving this CPU's cached blocks of that order by one place.
    public func free(_ frame: PageFrameNumber, order: Int, isCold: Bool) {
        // What is checked at a free is so on the usual way, and there are no caches then.
        guard isCold, !checks.areActive, 0 <= order, order <= FrameCacheLayout.highestOrder,
            makeUnused(frame, order: order)
        else { return free(frame, order: order) }
        let number = UInt32(truncatingIfNeeded: frame.rawValue)
        let ring = FrameCacheLayout.ring(at: table.rings(of: frame.rawValue)) + order
        let isCached = withThisCPUsCache { cache in
            if !cache.rings[ring].hasRoom(for: number) { return false }
            cache.rings[ring].pushCold(number)
            return true
        }
        if !isCached { zone(of: frame).value.withState { state in state.free(number, order: order) } }
    }
}
