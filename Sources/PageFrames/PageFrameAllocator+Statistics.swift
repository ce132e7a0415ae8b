import MemoryPrimitives
import Synchronization

/// A zone's figures at one moment. Frames are of 4 KiB.
public struct ZoneStatistics: Sendable {
    /// Which zone.
    public var kind: ZoneKind
    /// The managed frames lie from here ...
    public var firstFrame: PageFrameNumber
    /// ... to here, exclusive, perhaps with holes. Both are 0 in an empty zone.
    public var endFrame: PageFrameNumber
    /// Frames that the allocator has, free or handed out.
    public var managedFrames: UInt
    /// Frames that are free in the zone, promised and deferred ones included, those in frame caches not.
    public var freeFrames: UInt
    /// Frames in the frame caches of all CPUs.
    public var cachedFrames: UInt
    /// Free frames that only `allocatePromised` may take.
    public var promisedFrames: UInt
    /// Free frames whose descriptors have not been written yet.
    public var deferredFrames: UInt
    /// Sections whose descriptors have been written.
    public var initializedSections: UInt
    /// Blocks handed out and blocks taken back past the frame caches, and requests that this zone could not serve.
    public var allocations: UInt
    /// Blocks taken back past the frame caches.
    public var frees: UInt
    /// Requests that this zone could not serve.
    public var failures: UInt
    /// The number of free blocks of each order, deferred sections among those of order 10.
    public var freeBlocks: InlineArray<11, UInt>

    /// The zone's name as Linux prints it.
    public var name: StaticString { kind.name }
}

extension PageFrameAllocator {
    /// The figures of one zone. - Complexity: O(orders).
    public func statistics(of zone: ZoneKind) -> ZoneStatistics {
        let cachedFrames = cachedFrames(inZone: zone.rawValue)
        return zones[zone.rawValue].value.withState { state in
            var freeBlocks = InlineArray<11, UInt>(repeating: 0)
            for order in 0...BlockOrder.highest { freeBlocks[order] = state.buddy.blockCount(order: order) }
            freeBlocks[BlockOrder.highest] += state.deferred.sectionCount
            return ZoneStatistics(
                kind: zone, firstFrame: PageFrameNumber(state.firstFrame), endFrame: PageFrameNumber(state.endFrame),
                managedFrames: state.managedFrames, freeFrames: state.freeFrames, cachedFrames: cachedFrames,
                promisedFrames: state.promisedFrames,
                deferredFrames: state.deferred.sectionCount << Section.shift,
                initializedSections: UInt(state.descriptors.used), allocations: state.allocations, frees: state.frees,
                failures: state.failures, freeBlocks: freeBlocks)
        }
    }

    /// Frames that are free in all zones and frame caches, promised ones included. A snapshot: while other CPUs move
    /// frames between the two, some may be counted in neither. - Complexity: O(CPUs).
    public var freeFrames: UInt {
        var frames = sum { state in state.freeFrames }
        for zone in 0..<ZoneKind.count { frames &+= cachedFrames(inZone: zone) }
        return frames
    }

    /// Frames that the allocator has, free or handed out. - Complexity: O(1).
    public var managedFrames: UInt { sum { state in state.managedFrames } }

    /// Promises outstanding. - Complexity: O(1).
    public var promisedFrames: UInt { outstandingPromises.load(ordering: .relaxed) }

    private func sum(_ figure: (borrowing ZoneState) -> UInt) -> UInt {
        var total: UInt = 0
        for zone in 0..<ZoneKind.count { total += zones[zone].value.withState { state in figure(state) } }
        return total
    }
}
