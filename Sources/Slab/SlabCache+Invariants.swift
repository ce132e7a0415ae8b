import MemoryPrimitives
import PageFrames

extension SlabCache {
    /// Walks every slab. For a machine at rest, after `Kmalloc` has marked the objects in magazines as `seen`.
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

    /// Moves the state of all objects in the magazines; the first that is in another state is returned.
    func markMagazines(from old: ObjectState, to new: ObjectState) -> InvariantViolation? {
        var violation: InvariantViolation?
        for cpu in 0..<P.cpuCount {
            let magazine = magazine(cpu)
            for position in 0..<magazine.count {
                let entry = magazine.entry(position)
                let isOwn = slab(of: entry.object)?.magazines == magazines
                if isOwn, entry.loadState() == old {
                    entry.setState(new)
                } else if violation == nil {
                    violation = InvariantViolation(
                        "a magazine holds each free object of its cache once", at: entry.object,
                        found: UInt(entry.loadState().rawValue), expected: UInt(old.rawValue))
                }
            }
        }
        return violation
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
