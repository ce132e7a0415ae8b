import MemoryPrimitives

extension RangeList {
    /// Adds those parts of `range` that the list does not cover: what is in it already keeps its tag.
    /// - Returns: false where there was no room. Nothing has changed then.
    /// - Complexity: O(n).
    public mutating func add(_ range: PhysicalRange, _ tag: Tag) -> Bool {
        // Each insertion makes one range more; other gaps are closed by widening a neighbour, which never makes more.
        guard count &+ insertions(for: range, tag) <= capacity else { return false }
        var cursor = range.start
        while let (gap, index) = nextGap(in: range, from: cursor) {
            _ = fill(gap, tag, at: index)
            cursor = gap.end
        }
        return true
    }

    /// Takes `range` out of the list, whatever its tags; parts that the list does not cover stay so.
    /// - Returns: false where it would cut a range in two and there is no room. Nothing has changed then.
    /// - Complexity: O(n).
    public mutating func remove(_ range: PhysicalRange) -> Bool {
        if range.isEmpty { return true }
        var index = firstIndex(endingAfter: range.start)
        if index < count, self[index].range.start < range.start {
            let whole = self[index]
            if whole.range.end > range.end {
                guard count < capacity else { return false }
                insert(Element(PhysicalRange(range.end, whole.range.end), whole.tag), at: index &+ 1)
            }
            replace(index, with: PhysicalRange(whole.range.start, range.start))
            index &+= 1
        }
        while index < count, self[index].range.end <= range.end { remove(at: index) }
        if index < count, self[index].range.start < range.end {
            replace(index, with: PhysicalRange(range.end, self[index].range.end))
        }
        return true
    }

    /// Gives `gap`, which lies between the ranges at `index - 1` and `index`, to `tag`.
    /// - Returns: false where that needs an entry more and there is no room.
    mutating func fill(_ gap: PhysicalRange, _ tag: Tag, at index: Int) -> Bool {
        switch (touchesLeft(gap, tag, index), touchesRight(gap, tag, index)) {
        case (true, true):
            let end = self[index].range.end
            remove(at: index)
            replace(index &- 1, with: PhysicalRange(self[index &- 1].range.start, end))
        case (true, false):
            replace(index &- 1, with: PhysicalRange(self[index &- 1].range.start, gap.end))
        case (false, true):
            replace(index, with: PhysicalRange(gap.start, self[index].range.end))
        case (false, false):
            guard count < capacity else { return false }
            insert(Element(gap, tag), at: index)
        }
        return true
    }

    /// The first part of `range`, from `cursor` on, that the list does not cover, and the index at which it belongs.
    private func nextGap(in range: PhysicalRange, from cursor: PhysicalAddress) -> (PhysicalRange, Int)? {
        var start = cursor
        var index = firstIndex(endingAfter: start)
        while start < range.end {
            guard index < count, self[index].range.start < range.end else {
                return (PhysicalRange(start, range.end), index)
            }
            let next = self[index].range
            if start < next.start { return (PhysicalRange(start, next.start), index) }
            start = next.end
            index &+= 1
        }
        return nil
    }

    /// How many entries more the list has once `range` is added.
    private func insertions(for range: PhysicalRange, _ tag: Tag) -> Int {
        var insertions = 0
        var cursor = range.start
        while let (gap, index) = nextGap(in: range, from: cursor) {
            if !touchesLeft(gap, tag, index) && !touchesRight(gap, tag, index) { insertions &+= 1 }
            cursor = gap.end
        }
        return insertions
    }

    private func touchesLeft(_ gap: PhysicalRange, _ tag: Tag, _ index: Int) -> Bool {
        index > 0 && self[index &- 1].tag == tag && self[index &- 1].range.end == gap.start
    }

    private func touchesRight(_ gap: PhysicalRange, _ tag: Tag, _ index: Int) -> Bool {
        index < count && self[index].tag == tag && self[index].range.start == gap.end
    }
}
