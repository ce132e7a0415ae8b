import MemoryPrimitives
import PageFrames

/// One cache's figures at one moment, as a line of `slabinfo` shows them.
public struct SlabCacheStatistics: Sendable {
    /// "kmalloc-64", "dma-kmalloc-64", or what its maker called it.
    public var name: CacheName
    /// Bytes from one object to the next.
    public var objectSize: UInt
    /// Objects that a slab has room for.
    public var objectsPerSlab: Int
    /// Frames of a slab.
    public var pagesPerSlab: Int
    /// Objects of slabs that are their users'.
    public var activeObjects: Int
    /// Objects that wait in the CPUs' magazines and in the depot.
    public var cachedObjects: Int
    /// Objects of all slabs.
    public var totalObjects: Int
    /// Slabs that the cache has.
    public var slabs: Int
    /// Slabs with an object that is not free.
    public var activeSlabs: Int
    /// Slabs taken from the buddy and given back, since the cache was made.
    public var slabsFetched: UInt
    /// Slabs given back to the buddy since the cache was made.
    public var slabsReturned: UInt
    /// Guarded objects that are their users' (`kfence.sample_interval=`). They are in no slab, and counted nowhere else.
    public var guardedObjects = 0
}

extension SlabCache {
    /// The objects in the magazines of all CPUs. A snapshot.
    var cachedInMagazines: Int {
        var cached = 0
        for cpu in 0..<P.cpuCount { cached += magazine(cpu).count }
        return cached
    }

    /// The cache's figures. While others allocate, they may be off by a magazine. - Complexity: O(CPUs).
    public var statistics: SlabCacheStatistics {
        let inMagazines = cachedInMagazines
        return withState { state in
            let cached = inMagazines + state.depot.objectCount
            let slabs = state.lists.slabCount
            let total = slabs * layout.objectCount
            return SlabCacheStatistics(
                name: name, objectSize: layout.slotSize, objectsPerSlab: layout.objectCount,
                pagesPerSlab: 1 << layout.order, activeObjects: max(0, total - state.freeObjects - cached),
                cachedObjects: cached, totalObjects: total, slabs: slabs,
                activeSlabs: slabs - state.lists.slabCount(in: SlabLists.empty),
                slabsFetched: state.slabsFetched, slabsReturned: state.slabsReturned,
                guardedObjects: state.guardedObjects)
        }
    }
}

extension Kmalloc {
    /// Calls `body` with each cache, in the order in which they were made. Others may be made and destroyed meanwhile.
    /// - Complexity: O(caches).
    public func forEachCache(_ body: (borrowing SlabCache<P>) -> Void) {
        var next = next(after: nil)
        while let cache = next {
            body(cache.value)
            next = self.next(after: cache)
        }
    }

    /// The number of caches. A snapshot.
    public var cacheCount: Int { caches.count }

    /// Pages that hold the headers of slabs and the buckets of depots, and how many of these there are. A snapshot.
    public var headerFigures: (pages: UInt, slots: UInt) { headers.value.figures }

    /// Blocks above 8192 bytes that are handed out. A snapshot.
    public var largeBlockCount: Int { largeBlocks.count }

    /// The frames of those blocks. A snapshot.
    public var largeBlockFrames: Int { largeBlocks.frames }
}
