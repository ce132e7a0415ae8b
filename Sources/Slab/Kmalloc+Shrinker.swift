import MemoryPrimitives
import PageFrames

/// Under pressure slabs that are wholly free go back to the buddy: those that the caches keep, then those whose objects
/// wait in magazines and depots, and the depots' buckets. Takes locks that nobody holds while allocating, and waits for nothing.
extension Kmalloc: Shrinker {
    /// About the frames that `scan` could give back. - Complexity: O(caches * CPUs).
    public func count(for flags: AllocationFlags) -> UInt {
        var frames: UInt = 0
        var next = next(after: nil)
        while let cache = next {
            frames += cache.value.shrinkableFrames
            next = self.next(after: cache)
        }
        return frames
    }

    /// Gives about `target` frames back. - Returns: how many. - Complexity: O(caches + slabs and objects given back).
    public func scan(_ target: UInt, for flags: AllocationFlags) -> UInt {
        let frames = shrink(upTo: target, emptyMagazines: false)
        return frames >= target ? frames : frames + shrink(upTo: target - frames, emptyMagazines: true)
    }

    private func shrink(upTo target: UInt, emptyMagazines: Bool) -> UInt {
        var frames: UInt = 0
        var next = next(after: nil)
        while let cache = next {
            frames +=
                emptyMagazines
                ? cache.value.shrink() : cache.value.returnEmptySlabs(upTo: target - frames)
            if frames >= target {
                endWalk(at: cache)
                break
            }
            next = self.next(after: cache)
        }
        return frames
    }
}

extension SlabCache {
    /// About the frames that shrinking would give back: those of slabs wholly free, as many as the objects in magazines
    /// and the depot fill, and those of its buckets. Which slabs the objects are of, and who has the others of these, is
    /// not looked up.
    fileprivate var shrinkableFrames: UInt {
        var cached = cachedInMagazines
        let (empty, all, depot) = withState { state in
            (state.lists.slabCount(in: SlabLists.empty), state.lists.slabCount, state.depot)
        }
        let limit = usualMagazineLimit
        let bucket = Bucket<P>.byteCount(capacity: limit - Self.objectsLeft(ofLimit: limit))
        let buckets = (UInt(depot.bucketCount * bucket) + PageSize.byteCount - 1) >> PageSize.shift
        if flags.contains(.typesafe) { return buckets }
        cached += depot.objectCount
        let waiting = (cached + layout.objectCount - 1) / layout.objectCount
        return buckets + UInt(min(all, empty + waiting)) << UInt(layout.order)
    }
}
