import MemoryPrimitives
import Synchronization

// The frame caches of all CPUs as a whole.
extension PageFrameAllocator {
    /// Gives back to the zones what the frame caches of all CPUs hold.
    ///
    /// - Complexity: O(CPUs * cached blocks). Callable from any context.
    public func drainFrameCaches() {
        for cpu in 0..<P.cpuCount { drainFrameCache(ofCPU: cpu) }
    }

    /// Gives back to the zones what one CPU's frame cache holds.
    ///
    /// - Parameter cpu: `0 ..< P.cpuCount`. It need not be the caller's own.
    public func drainFrameCache(ofCPU cpu: Int) {
        precondition(0 <= cpu && cpu < P.cpuCount, "no such CPU")
        withCache(ofCPU: cpu) { cache in drain(&cache) }
    }

    /// Turns the frame caches of all CPUs on or off; they are drained first. While they are off every call goes to the
    /// zones. They stay off for as long as anything is checked beyond what always is.
    /// - Complexity: as `drainFrameCaches()`.
    public func setFrameCaches(enabled: Bool) {
        checks.wantsFrameCaches = enabled
        applyFrameCaches()
    }

    /// Turns the frame caches on where they are wanted and no check is in the way, and lets requests be counted where one
    /// is to fail. To be called after each change of what is wanted; of several calls at once the last sees all changes.
    @inline(never)
    func applyFrameCaches() {
        let interrupts = checks.switching.acquire()
        defer { checks.switching.release(interrupts) }
        checks.updateTemporaryChecks()
        let enabled = checks.wantsFrameCaches && !checks.areActive
        hasFrameCaches.store(enabled, ordering: .relaxed)
        for cpu in 0..<P.cpuCount {
            withCache(ofCPU: cpu) { cache in
                drain(&cache)
                setHigh(&cache, enabled)
            }
        }
    }

    /// Frames in the frame caches of all CPUs that belong to `zone`. - Complexity: O(CPUs).
    func cachedFrames(inZone zone: Int) -> UInt {
        var frames: UInt = 0
        for cpu in 0..<P.cpuCount { withCache(ofCPU: cpu) { cache in frames &+= cache.frames(inZone: zone) } }
        return frames
    }

    private func drain(_ cache: inout FrameCache<P>) {
        for zone in 0..<ZoneKind.count {
            zones[zone].value.withState { state in
                let first = FrameCacheLayout.ring(zone: zone, .unmovable, order: 0)
                for ring in 0..<FrameCacheLayout.ringsPerZone where cache.rings[first + ring].count > 0 {
                    let count = Int(cache.rings[first + ring].count)
                    state.drain(&cache.rings[first + ring], count, order: ring % FrameCacheLayout.orderCount)
                }
            }
        }
    }

    /// Small zones have small rings: the caches of all CPUs together keep no more than an eighth of a zone.
    private func setHigh(_ cache: inout FrameCache<P>, _ isEnabled: Bool) {
        for zone in 0..<ZoneKind.count {
            let managed = zones[zone].value.withState { state in state.managedFrames }
            let share = managed / UInt(8 * P.cpuCount * FrameCacheLayout.framesPerRingDepth)
            let most = isEnabled ? UInt32(truncatingIfNeeded: min(share, 64)) : 0
            let first = FrameCacheLayout.ring(zone: zone, .unmovable, order: 0)
            for ring in 0..<FrameCacheLayout.ringsPerZone {
                let high = min(most, FrameCacheLayout.usualHigh(order: ring % FrameCacheLayout.orderCount))
                cache.rings[first + ring].high = high
                cache.rings[first + ring].batch = max(1, high / 2)
            }
        }
    }

    func withCache<Result>(ofCPU cpu: Int, _ body: (inout FrameCache<P>) -> Result) -> Result {
        // There is a cache for each CPU, and the lock makes this the only access.
        let cache = unsafe caches.pointer(cpu)
        return unsafe cache.pointee.lock.withLock { unsafe body(&cache.pointee) }
    }
}
