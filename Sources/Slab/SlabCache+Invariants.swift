import MemoryPrimitives
import PageFrames

extension SlabCache {
    /// Walks every slab, and the depot. For a machine at rest, after `Kmalloc` has marked the objects in magazines and the
    /// depot as `seen`.
    /// - Complexity: O(objects + frames).
    func checkInvariants() throws(InvariantViolation) {
        // Read under the lock; nobody changes it meanwhile, by the contract.
        let (lists, freeObjects, fetched, returned) = withState { state in
            (state.lists, state.freeObjects, state.slabsFetched, state.slabsReturned)
        }
        var free = 0
        for list in 0..<SlabLists.count { try check(lists, list, &free) }
        try require(free == freeObjects, "a cache's free objects are the sum of its slabs'", address, free, freeObjects)
        if !flags.contains(.typesafe) {
            let empty = lists.slabCount(in: SlabLists.empty)
            try require(empty <= keptEmptySlabs, "a cache keeps few empty slabs", address, empty, keptEmptySlabs)
        }
        let slabs = Int(fetched &- returned)
        try require(
            lists.slabCount == slabs, "slabs are those fetched less those returned", address, lists.slabCount, slabs)
        try check(withState { state in state.depot })
        if flags.contains(.sampled) { try checkGuarded() }
    }

    private func check(_ depot: Depot<P>) throws(InvariantViolation) {
        var objects = 0
        var buckets = 0
        var next = depot.full.first
        while next != 0 {
            let bucket = Bucket<P>(at: next)
            try require(1...bucket.capacity ~= bucket.count, "a bucket holds objects", next, bucket.count)
            objects += bucket.count
            buckets += 1
            next = bucket.next
        }
        try require(objects == depot.objectCount, "a depot counts its objects", address, objects, depot.objectCount)
        try require(buckets == depot.full.count, "a depot counts its buckets", address, buckets, depot.full.count)
        next = depot.empty.first
        while next != 0 {
            buckets += 1
            next = Bucket<P>(at: next).next
        }
        try require(buckets == depot.bucketCount, "a depot counts its buckets", address, buckets, depot.bucketCount)
    }

    private func check(_ lists: SlabLists, _ list: Int, _ free: inout Int) throws(InvariantViolation) {
        var previous: SlabPage?
        var next = lists.first(in: list)
        var count = 0
        let expected = lists.slabCount(in: list)
        while let slab = next {
            count += 1
            try require(count <= expected, "a list has as many slabs as it says", address, count, expected)
            try require(slab.previous == previous, "a slab's links lead back", slab.base)
            try require(
                slab.list == list && lists.list(free: slab.freeCount) == list,
                "a slab is in the list of its free count", slab.base, slab.list, list)
            try check(slab)
            free += slab.freeCount
            previous = slab
            next = slab.next
        }
        try require(count == expected, "a list has as many slabs as it says", address, count, expected)
    }

    private func check(_ slab: SlabPage) throws(InvariantViolation) {
        try require(
            slab.magazines == magazines && slab.objectCount == layout.objectCount,
            "a slab is its cache's", slab.base)
        var free = 0
        for index in 0..<layout.objectCount {
            let state = slab.state(index)
            let object = slab.address(of: index, slotSize: layout.slotSize)
            if state == .free { free += 1 }
            // Those in magazines have been marked.
            try require(
                (state == .free) == slab.isMarkedFree(index), "a free object is in the bitmap or in a magazine", object)
            try require(
                state.rawValue <= ObjectState.largestRawValue, "an object's state is one that there is", object,
                Int(state.rawValue))
        }
        try require(free == slab.freeCount, "a slab's free count is that of its bits", slab.base, free, slab.freeCount)
        let first = firstFrame(of: slab)
        try require(first.rawValue & (layout.frameCount - 1) == 0, "a slab is aligned to its size", slab.base)
        for number in 0..<layout.frameCount {
            let frame = first + number
            let state = frames.value.state(of: frame)
            try require(state == (number == 0 ? .slab : .slabTail), "a slab's frames say so", frame.rawValue)
            try require(
                frames.value.owner(of: frame) == slab.name, "a slab's frames name its header", frame.rawValue)
        }
    }

    /// Moves the state of all objects in the magazines and the depot; the first that is in another state is returned.
    func markMagazines(from old: ObjectState, to new: ObjectState) -> InvariantViolation? {
        var violation: InvariantViolation?
        for cpu in 0..<P.cpuCount {
            mark(magazine(cpu).entries, magazine(cpu).count, from: old, to: new, &violation)
        }
        var next = withState { state in state.depot.full.first }
        while next != 0 {
            let bucket = Bucket<P>(at: next)
            mark(bucket.entries, bucket.count, from: old, to: new, &violation)
            next = bucket.next
        }
        return violation
    }

    private func mark(
        _ entries: EntryList<P>, _ count: Int, from old: ObjectState, to new: ObjectState,
        _ violation: inout InvariantViolation?
    ) {
        for position in 0..<count {
            let entry = entries[position]
            let isOwn = slab(of: entry.object)?.magazines == magazines
            if isOwn, entry.loadState() == old {
                entry.setState(new)
            } else if violation == nil {
                violation = InvariantViolation(
                    "a magazine or bucket holds each free object of its cache once", at: entry.object,
                    found: UInt(entry.loadState().rawValue), expected: UInt(old.rawValue))
            }
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
