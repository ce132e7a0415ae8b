import MemoryPrimitives

/// A range of physical memory and its owner.
public struct Region: Equatable, Sendable {
    public var range: PhysicalRange
    public var owner: RegionOwner

    public init(_ range: PhysicalRange, _ owner: RegionOwner) {
        self.range = range
        self.owner = owner
    }
}

/// A sorted list of disjoint, non-empty regions. Neighbours that touch and have the same owner are one region.
///
/// An array in memory that the caller provides: boot has tens of regions, and an array is the simplest thing that can
/// be searched in O(log n). It never grows by itself: `BootAllocator` moves it to a larger array.
@safe
public struct RegionList: ~Copyable {
    private var storage: UnsafeMutableBufferPointer<Region>

    /// The number of regions in the list.
    public private(set) var count = 0

    /// The sum of all regions, in bytes.
    public private(set) var totalByteCount: UInt = 0

    /// An empty list.
    /// - Parameter storage: room for the regions, of the list's own for as long as it lives; contents do not matter.
    @unsafe
    public init(storage: UnsafeMutableBufferPointer<Region>) { unsafe self.storage = storage }

    /// The number of regions that there is room for.
    // Reads the buffer's length, no memory.
    public var capacity: Int { unsafe storage.count }

    /// The region at `index`, in ascending order of addresses.
    /// - Precondition: `0 <= index < count`.
    public subscript(index: Int) -> Region {
        precondition(0 <= index && index < count, "no such region")
        // Entries below count are initialised, and count <= storage.count.
        return unsafe storage[index]
    }

    // MARK: Search

    /// The index of the first region that ends beyond `address`, or `count`.
    /// - Complexity: O(log n).
    public func firstIndex(endingAfter address: PhysicalAddress) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low &+ high) >> 1
            if self[middle].range.end > address { high = middle } else { low = middle &+ 1 }
        }
        return low
    }

    /// The index of the last region that starts below `address`; nil where none does.
    /// - Complexity: O(log n).
    public func lastIndex(startingBelow address: PhysicalAddress) -> Int? {
        var low = 0
        var high = count
        while low < high {
            let middle = (low &+ high) >> 1
            if self[middle].range.start < address { low = middle &+ 1 } else { high = middle }
        }
        return low == 0 ? nil : low &- 1
    }

    /// The region that contains `address`; nil where none does.
    /// - Complexity: O(log n).
    public func region(containing address: PhysicalAddress) -> Region? {
        let index = firstIndex(endingAfter: address)
        return index < count && self[index].range.contains(address) ? self[index] : nil
    }

    /// True when some region shares a byte with `range`.
    /// - Complexity: O(log n).
    public func overlaps(_ range: PhysicalRange) -> Bool {
        let index = firstIndex(endingAfter: range.start)
        return index < count && self[index].range.overlaps(range)
    }

    /// True when all of `range` lies within regions. True for an empty range.
    /// - Complexity: O(log n) and the regions within the range.
    public func covers(_ range: PhysicalRange) -> Bool {
        var cursor = range.start
        var index = firstIndex(endingAfter: cursor)
        while cursor < range.end {
            guard index < count, self[index].range.start <= cursor else { return false }
            cursor = self[index].range.end
            index &+= 1
        }
        return true
    }

    // MARK: Change

    /// Adds those parts of `range` that no region covers: where it overlaps a region, that region keeps what it has.
    /// - Returns: false where there was no room. Nothing has changed then.
    /// - Complexity: O(n).
    public mutating func add(_ range: PhysicalRange, owner: RegionOwner) -> Bool {
        var insertions = 0
        forEachGap(in: range) { list, gap, index in
            if !list.touchesLeft(gap, owner, index) && !list.touchesRight(gap, owner, index) { insertions &+= 1 }
        }
        // Each insertion makes one region more; other gaps are closed by widening a neighbour, which never makes more.
        guard count &+ insertions <= capacity else { return false }
        var cursor = range.start
        while let (gap, index) = nextGap(in: range, from: cursor) {
            fill(gap, owner, index)
            cursor = gap.end
        }
        return true
    }

    /// Takes `range` out of the list, whoever owns it; parts that no region covers stay so.
    /// - Returns: false where it would cut a region in two and there is no room. Nothing has changed then.
    /// - Complexity: O(n).
    public mutating func remove(_ range: PhysicalRange) -> Bool {
        if range.isEmpty { return true }
        var index = firstIndex(endingAfter: range.start)
        if index < count, self[index].range.start < range.start {
            let whole = self[index]
            if whole.range.end > range.end {
                guard count < capacity else { return false }
                insert(Region(PhysicalRange(range.end, whole.range.end), whole.owner), at: index &+ 1)
            }
            replace(index, with: PhysicalRange(whole.range.start, range.start))
            index &+= 1
        }
        while index < count, self[index].range.end <= range.end { removeRegion(at: index) }
        if index < count, self[index].range.start < range.end {
            replace(index, with: PhysicalRange(range.end, self[index].range.end))
        }
        return true
    }

    /// Copies the regions to `storage` and uses it from now on.
    /// - Returns: the storage used before.
    /// - Precondition: there is room for all regions.
    @unsafe
    mutating func move(to storage: UnsafeMutableBufferPointer<Region>) -> UnsafeMutableBufferPointer<Region> {
        precondition(storage.count >= count, "the new array is smaller than the list")
        for index in 0..<count {
            // The new storage is the caller's to give and has room, as was just checked.
            unsafe storage.initializeElement(at: index, to: self[index])
        }
        let old = unsafe self.storage
        unsafe self.storage = storage
        return unsafe old
    }

    // MARK: Gaps

    /// The first part of `range`, from `cursor` on, that no region covers, and the index at which it belongs.
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

    private func forEachGap(
        in range: PhysicalRange, _ body: (borrowing RegionList, PhysicalRange, Int) -> Void
    ) {
        var cursor = range.start
        while let (gap, index) = nextGap(in: range, from: cursor) {
            body(self, gap, index)
            cursor = gap.end
        }
    }

    private func touchesLeft(_ gap: PhysicalRange, _ owner: RegionOwner, _ index: Int) -> Bool {
        index > 0 && self[index &- 1].owner == owner && self[index &- 1].range.end == gap.start
    }

    private func touchesRight(_ gap: PhysicalRange, _ owner: RegionOwner, _ index: Int) -> Bool {
        index < count && self[index].owner == owner && self[index].range.start == gap.end
    }

    /// Gives `gap`, which lies between the regions at `index - 1` and `index`, to `owner`.
    private mutating func fill(_ gap: PhysicalRange, _ owner: RegionOwner, _ index: Int) {
        switch (touchesLeft(gap, owner, index), touchesRight(gap, owner, index)) {
        case (true, true):
            let end = self[index].range.end
            removeRegion(at: index)
            replace(index &- 1, with: PhysicalRange(self[index &- 1].range.start, end))
        case (true, false):
            replace(index &- 1, with: PhysicalRange(self[index &- 1].range.start, gap.end))
        case (false, true):
            replace(index, with: PhysicalRange(gap.start, self[index].range.end))
        case (false, false):
            insert(Region(gap, owner), at: index)
        }
    }

    // MARK: Entries

    private mutating func replace(_ index: Int, with range: PhysicalRange) {
        totalByteCount = totalByteCount &- self[index].range.byteCount &+ range.byteCount
        // The subscript has checked the index.
        unsafe storage[index].range = range
    }

    private mutating func insert(_ region: Region, at index: Int) {
        precondition(count < capacity && index <= count, "no room for a region")
        var position = count
        while position > index {
            // count < capacity, so that position is within the storage.
            unsafe storage[position] = storage[position &- 1]
            position &-= 1
        }
        unsafe storage[index] = region
        count &+= 1
        totalByteCount &+= region.range.byteCount
    }

    private mutating func removeRegion(at index: Int) {
        totalByteCount &-= self[index].range.byteCount
        for position in index..<(count &- 1) {
            // position + 1 < count.
            unsafe storage[position] = storage[position &+ 1]
        }
        count &-= 1
    }
}
