import MemoryPrimitives
import PageFrames

/// One cache's figures at one moment, as a line of `slabinfo` shows them.
public struct SlabCacheStatistics: Sendable {
    /// "kmalloc-64", "dma-kmalloc-64", "slab-header".
    public var name: StaticString
    /// Bytes of an object.
    public var objectSize: UInt
    public var objectsPerSlab: Int
    /// Frames of a slab.
    public var pagesPerSlab: Int
    /// Objects that are their users'.
    public var activeObjects: Int
    /// Objects that wait in the CPUs' magazines.
    public var cachedObjects: Int
    /// Objects of all slabs.
    public var totalObjects: Int
    public var slabs: Int
    /// Slabs taken from the buddy and given back, since bring-up.
    public var slabsFetched: UInt
    public var slabsReturned: UInt
}

extension Kmalloc {
    /// The number of caches that `statistics(ofCache:)` knows.
    public var cacheCount: Int { Self.cacheCount }

    /// The figures of one cache, `0 ..< cacheCount`: size classes in ascending order, those for DMA, slab headers.
    /// While others allocate, the figures may be off by a magazine. - Complexity: O(CPUs).
    public func statistics(ofCache index: Int) -> SlabCacheStatistics {
        let layout = caches[index].value.layout
        var cached = 0
        if index < MagazineRack<P>.cacheCount {
            for cpu in 0..<P.cpuCount { cached += rack.magazine(ofCache: index, cpu: cpu).count }
        }
        return caches[index].value.withState { state in
            let total = state.slabCount * layout.objectCount
            return SlabCacheStatistics(
                name: caches[index].value.name, objectSize: layout.objectSize, objectsPerSlab: layout.objectCount,
                pagesPerSlab: 1 << layout.order, activeObjects: max(0, total - state.freeObjects - cached),
                cachedObjects: cached, totalObjects: total, slabs: state.slabCount,
                slabsFetched: state.slabsFetched, slabsReturned: state.slabsReturned)
        }
    }

    /// Blocks above 8192 bytes that are handed out. A snapshot.
    public var largeBlockCount: Int { largeBlocks.count }

    /// The frames of those blocks. A snapshot.
    public var largeBlockFrames: Int { largeBlocks.frames }
}
