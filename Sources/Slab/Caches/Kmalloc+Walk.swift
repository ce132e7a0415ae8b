import MemoryPrimitives

// Walks through all caches, while others make and destroy some: a cache stays in memory as long as a walk is at it.
extension Kmalloc {
    /// The cache that objects of `byteCount` bytes, 1 to `SizeClass.largestByteCount`, come from.
    func cache(serving byteCount: UInt) -> Permanent<SlabCache<P>> { sizes.magazine(for: byteCount, cpu: 0).cache }

    /// The first cache, or the one after that where the walk is; nil at the end.
    func next(after cache: Permanent<SlabCache<P>>?) -> Permanent<SlabCache<P>>? {
        let step = caches.step(from: cache)
        if let cache, step.hasEnded { release(cache) }
        return step.next
    }

    /// As `next(after:)`, from the cache that was made last to the first.
    func previous(before cache: Permanent<SlabCache<P>>?) -> Permanent<SlabCache<P>>? {
        let step = caches.step(from: cache, isBackward: true)
        if let cache, step.hasEnded { release(cache) }
        return step.next
    }

    /// Ends a walk that does not go on to the end.
    func endWalk(at cache: Permanent<SlabCache<P>>) { if caches.leaveWalk(at: cache) { release(cache) } }
}
