import MemoryPrimitives

extension PageFrameAllocator {
    /// Checks every zone: page blocks, descriptors, deferred sections, counts; the frame caches; and the promises over
    /// all zones.
    ///
    /// Each zone is checked under its lock. While other CPUs call the allocator, what is counted over several locks
    /// does not add up: to be called while they do not.
    ///
    /// - Throws: the first rule that does not hold.
    /// - Complexity: O(managed frames). For tests and the monitor.
    public func checkInvariants() throws(InvariantViolation) {
        var promised: UInt = 0
        for zone in 0..<ZoneKind.count {
            let found = try zones[zone].value.withState { (state) throws(InvariantViolation) in
                (elsewhere: try state.checkInvariants(), promised: state.promisedFrames)
            }
            promised += found.promised
            let cached = cachedFrames(inZone: zone)
            if found.elsewhere != cached {
                throw InvariantViolation(
                    "frames that are neither free nor in use are cached", at: UInt(zone), found: found.elsewhere,
                    expected: cached)
            }
        }
        if promised != promisedFrames {
            throw InvariantViolation(
                "the zones' promises are those outstanding", found: promised, expected: promisedFrames)
        }
        for cpu in 0..<P.cpuCount { try checkFrameCache(ofCPU: cpu) }
    }

    /// Checks that what a CPU's rings hold are blocks that nobody has, of the ring's zone and order.
    private func checkFrameCache(ofCPU cpu: Int) throws(InvariantViolation) {
        // There is a cache for each CPU; the lock makes this the only access.
        let cache = unsafe caches.pointer(cpu)
        let interrupts = unsafe cache.pointee.lock.acquire()
        defer { unsafe cache.pointee.lock.release(interrupts) }
        for ring in 0..<FrameCacheLayout.ringsPerZone * ZoneKind.count {
            let count = unsafe Int(cache.pointee.contents.rings[ring].count)
            if count > FrameRing.capacity { throw InvariantViolation("a ring has room for its blocks", at: UInt(ring)) }
            for index in 0..<count {
                let frame = unsafe UInt(cache.pointee.contents.rings[ring].frames[index])
                let order = UInt(ring % FrameCacheLayout.orderCount)
                if frame & (1 << order - 1) != 0 || state(of: PageFrameNumber(frame)) != .interior
                    || ZoneKind(of: PageFrameNumber(frame)).rawValue != ring / FrameCacheLayout.ringsPerZone
                {
                    throw InvariantViolation("a cached block is nobody's, and in its zone's ring", at: frame)
                }
            }
        }
    }
}
