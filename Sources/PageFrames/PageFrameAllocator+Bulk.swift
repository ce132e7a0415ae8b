import MemoryPrimitives

extension PageFrameAllocator {
    /// Allocates many single frames at once, for less than they cost one by one: what this CPU's frame cache holds, and
    /// then batches from the zones.
    ///
    /// - Parameters:
    ///   - buffer: filled from its start. Its size is the number of frames wanted.
    ///   - flags: as of `allocate`.
    /// - Returns: how many frames were allocated; fewer than wanted where memory ran out. A request that got some frames
    ///   has not failed, and is not reported.
    /// - Complexity: O(frames).
    public func allocateBulk(
        into buffer: UnsafeMutableBufferPointer<PageFrameNumber>, flags: AllocationFlags = .kernel
    ) -> Int {
        var filled = 0
        // With checks each frame goes the way that checks it.
        if mayProceed(flags), !checks.areActive {
            unsafe takeCached(into: buffer, &filled, flags)
            unsafe takeBatches(into: buffer, &filled, flags)
        }
        while filled < buffer.count {
            // The last few of a zone, and what can be had by reclaiming, come one by one.
            guard let frame = allocate(order: 0, flags: filled > 0 ? flags | .noWarn : flags) else { break }
            unsafe buffer[filled] = frame
            filled += 1
        }
        return filled
    }

    /// Empties this CPU's ring for the flags into the rest of the buffer.
    private func takeCached(
        into buffer: UnsafeMutableBufferPointer<PageFrameNumber>, _ filled: inout Int, _ flags: AllocationFlags
    ) {
        let first = filled
        let zone = preferredZones[flags.highestZone.rawValue]
        let ring = FrameCacheLayout.ring(zone: zone, flags.mobility, order: 0)
        withThisCPUsCache { cache in
            while filled < buffer.count, cache.rings[ring].count > 0 {
                // Within the buffer by the check above.
                unsafe buffer[filled] = PageFrameNumber(UInt(cache.rings[ring].pop()))
                filled += 1
            }
        }
        unsafe finish(buffer, from: first, &filled, flags)
    }

    /// Takes batches above the low mark, as many as fit and the zones can spare.
    private func takeBatches(
        into buffer: UnsafeMutableBufferPointer<PageFrameNumber>, _ filled: inout Int, _ flags: AllocationFlags
    ) {
        let request = ZoneRequest(order: 0, flags: flags, above: .low)
        var zone = preferredZones[request.highestZone.rawValue]
        while zone >= 0, filled < buffer.count {
            // A batch travels in a ring of its own, and the zone is locked for no longer than that.
            var batch = FrameRing()
            batch.high = UInt32(FrameRing.capacity)
            batch.batch = UInt32(min(FrameRing.capacity, buffer.count - filled))
            let isFilled = zones[zone].value.withState { state in
                let isFilled = state.refill(&batch, for: request)
                // These are handed out, and not on their way into a frame cache.
                if isFilled { state.allocations &+= UInt(batch.count) }
                return isFilled
            }
            if !isFilled {
                zone -= 1
                continue
            }
            let first = filled
            while batch.count > 0 {
                // The batch is no larger than what is left of the buffer.
                unsafe buffer[filled] = PageFrameNumber(UInt(batch.pop()))
                filled += 1
            }
            unsafe finish(buffer, from: first, &filled, flags)
        }
    }

    /// Marks the frames from `first` on as handed out. One that is in use, which is reported, is left out.
    private func finish(
        _ buffer: UnsafeMutableBufferPointer<PageFrameNumber>, from first: Int, _ filled: inout Int,
        _ flags: AllocationFlags
    ) {
        let end = filled
        filled = first
        for index in first..<end {
            // The part of the buffer that was just filled.
            let number = UInt32(truncatingIfNeeded: unsafe buffer[index].rawValue)
            guard let frame = finish(number, order: 0, flags) else { continue }
            unsafe buffer[filled] = frame
            filled += 1
        }
    }
}
