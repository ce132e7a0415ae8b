import MemoryPrimitives
import PageFrames

/// Under pressure slabs that are wholly free go back to the buddy: those that the caches keep, then those whose objects
/// wait in magazines. Takes locks that nobody holds while allocating, and waits for nothing.
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
    /// About the frames that shrinking would give back: those of slabs wholly free, and as many as the objects in magazines
    /// fill. Which slabs these are of, and who has the others of these, is not looked up.
    fileprivate var shrinkableFrames: UInt {
        if flags.contains(.typesafe) { return 0 }
        var cached = 0
        for cpu in 0..<P.cpuCount { cached += magazine(cpu).count }
        let (empty, all) = withState { state in (state.lists.slabCount(in: SlabLists.empty), state.lists.slabCount) }
        let waiting = (cached + layout.objectCount - 1) / layout.objectCount
        return UInt(min(all, empty + waiting)) << UInt(layout.order)
    }
}
