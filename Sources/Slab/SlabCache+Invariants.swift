import MemoryPrimitives
import PageFrames

extension SlabCache {
    /// Walks every slab. For a machine at rest, after `Kmalloc` has marked the objects in magazines as `seen`.
    /// - Complexity: O(objects + frames).
    func checkInvariants() throws(InvariantViolation) {
        let state = withState { state in state }
        var free = 0
        try check(state.full, .full, &free)
        try check(state.partial, .partial, &free)
        try check(state.empty, .empty, &free)
        try require(
            free == state.freeObjects, "a cache's free objects are the sum of its slabs'", UInt(index), free,
            state.freeObjects)
        try require(
            state.empty.count <= Self.keptEmptySlabs, "a cache keeps few empty slabs", UInt(index), state.empty.count,
            Self.keptEmptySlabs)
        let slabs = Int(state.slabsFetched &- state.slabsReturned)
        try require(
            state.slabCount == slabs, "slabs are those fetched less those returned", UInt(index), state.slabCount, slabs
        )
    }

    private func check(_ list: SlabList, _ kind: SlabHeader.List, _ free: inout Int) throws(InvariantViolation) {
        var previous: SlabPage?
        var next = list.first
        var count = 0
        while let slab = next {
            count += 1
            try require(count <= list.count, "a list has as many slabs as it says", UInt(index), count, list.count)
            try require(slab.previous == previous, "a slab's links lead back", slab.base)
            try check(slab, kind)
            free += slab.freeCount
            previous = slab
            next = slab.next
        }
        try require(count == list.count, "a list has as many slabs as it says", UInt(index), count, list.count)
    }

    private func check(_ slab: SlabPage, _ kind: SlabHeader.List) throws(InvariantViolation) {
        let expected: SlabHeader.List =
            slab.freeCount == 0 ? .full : slab.freeCount == layout.objectCount ? .empty : .partial
        try require(slab.list == kind && kind == expected, "a slab is in the list of its free count", slab.base)
        try require(
            slab.cacheIndex == index && slab.objectCount == layout.objectCount, "a slab is its cache's", slab.base,
            slab.cacheIndex, index)
        var free = 0
        for object in 0..<layout.objectCount {
            let state = slab.state(object)
            let address = entry(slab, object).object
            if state == .free { free += 1 }
            try require((state == .free) == slab.isMarkedFree(object), "bitmap and state bytes agree", address)
            switch state {
            case .free: break
            case .allocated, .seen: try require(index != Kmalloc<P>.headerCacheIndex, "headers are headers", address)
            case .header: try require(index == Kmalloc<P>.headerCacheIndex, "objects are no headers", address)
            case .cached: try require(false, "a cached object is in a magazine", address)
            default: try require(false, "an object's state is one that there is", address, Int(state.rawValue))
            }
        }
        try require(free == slab.freeCount, "a slab's free count is that of its bits", slab.base, free, slab.freeCount)
        let first = PageFrameNumber(
            containing: frames.value.directMap.physicalAddress(of: VirtualAddress(slab.base)))
        try require(first.rawValue & (layout.frameCount - 1) == 0, "a slab is aligned to its size", slab.base)
        for number in 0..<layout.frameCount {
            let frame = first + number
            let state = frames.value.state(of: frame)
            try require(state == (number == 0 ? .slab : .slabTail), "a slab's frames say so", frame.rawValue)
            try require(
                frames.value.owner(of: frame) == slab.headerAddress, "a slab's frames name its header", frame.rawValue)
        }
    }
}

/// Throws where a rule does not hold.
func require(
    _ holds: Bool, _ rule: StaticString, _ location: UInt, _ found: Int = 0, _ expected: Int = 0
) throws(InvariantViolation) {
    if !holds {
        throw InvariantViolation(
            rule, at: location, found: UInt(bitPattern: found), expected: UInt(bitPattern: expected))
    }
}
