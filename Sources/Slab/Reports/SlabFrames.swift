import MemoryPrimitives
import PageFrames

// Whose a frame of kmalloc's is, for maps of memory.
extension Kmalloc {
    /// A number that tells the cache of the slab that `frame` is part of from all others; nil for a frame of no slab.
    /// - Complexity: O(1).
    public func cacheIdentifier(ofSlabAt frame: PageFrameNumber) -> UInt? {
        guard let name = table.slabOwner(of: frame) else { return nil }
        return SlabPage(name: name).cache(on: P.self).value.address
    }

    /// The name of a cache that is there still, by its identifier.
    public func name(ofCache identifier: UInt) -> CacheName { CacheList<P>.cache(at: identifier).value.name }

    /// Whether a block that is handed out, with `tag`, is one of more than 8192 bytes that kmalloc gave out, or that waits in
    /// a memory pool.
    public static func isLargeBlock(tag: UInt16) -> Bool {
        tag == LargeBlocks<P>.tag || tag == PoolSource<P>.reservedTag
    }

    /// Calls `body` with an address in each frame that kmalloc has for its own bookkeeping, with some more than once: in
    /// headers of slabs, buckets of depots, the caches that are there from the start and their magazines.
    ///
    /// - Complexity: O(slabs + buckets). Takes each cache's lock, with which `body` is called: it must not call kmalloc.
    public func forEachBookkeepingAddress(_ body: (UInt) -> Void) {
        forEachOwnMemory { range in
            var address = range.start.rawValue
            while address < range.end.rawValue {
                body(address)
                address = (address | (PageSize.byteCount &- 1)) &+ 1
            }
        }
        if let memory = cacheOfCaches.value.debugging.value.quarantine.memory { body(memory) }
        forEachCache { cache in
            body(cache.magazines)
            cache.withState { state in
                state.depot.forEachBucket(body)
                for list in 0..<SlabLists.count {
                    var next = state.lists.first(in: list)
                    while let slab = next {
                        body(slab.headerAddress)
                        next = slab.next
                    }
                }
            }
        }
    }
}

extension Depot {
    /// Calls `body` with the address of each bucket. Under the cache's lock.
    func forEachBucket(_ body: (UInt) -> Void) {
        for stack in 0..<2 {
            var next = stack == 0 ? full.first : empty.first
            while next != 0 {
                body(next)
                next = Bucket<P>(at: next).next
            }
        }
    }
}
