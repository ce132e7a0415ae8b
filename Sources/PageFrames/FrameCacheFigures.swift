import MemoryPrimitives

/// What one CPU's frame cache has of one zone's frames at one moment: the `pagesets` of Linux's `zoneinfo`.
public struct FrameCacheFigures: Equatable, Sendable {
    /// Frames in the cache.
    public var frames: UInt = 0
    /// The most frames that it may hold now; 0 where caching is off.
    public var high: UInt = 0
    /// How many single frames a refill fetches, and an overflow gives back.
    public var batch: UInt = 0

    public init() {}
}

extension PageFrameAllocator {
    /// What a CPU's frame cache has of a zone's frames.
    ///
    /// - Parameter cpu: `0 ..< P.cpuCount`. It need not be the caller's own.
    /// - Complexity: O(1). Takes the cache's lock.
    public func cacheFigures(ofCPU cpu: Int, inZone zone: ZoneKind) -> FrameCacheFigures {
        precondition(0 <= cpu && cpu < P.cpuCount, "no such CPU")
        return withCache(ofCPU: cpu) { cache in cache.figures(inZone: zone.rawValue) }
    }
}

extension FrameCache {
    /// `mutating` passes the rings by address; nothing changes.
    fileprivate mutating func figures(inZone zone: Int) -> FrameCacheFigures {
        var figures = FrameCacheFigures()
        let first = FrameCacheLayout.ring(zone: zone, .unmovable, order: 0)
        for ring in 0..<FrameCacheLayout.ringsPerZone {
            let order = UInt(ring % FrameCacheLayout.orderCount)
            figures.frames += UInt(rings[first + ring].count) << order
            figures.high += UInt(rings[first + ring].high) << order
        }
        figures.batch = UInt(rings[first].batch)
        return figures
    }
}
