import MemoryPrimitives

/// A range of physical addresses, and what the list that it is in says of it.
public struct TaggedRange<Tag: Equatable & Sendable>: Equatable, Sendable {
    /// Which addresses.
    public var range: PhysicalRange
    /// What is said of them.
    public var tag: Tag

    /// A range and what is said of it.
    public init(_ range: PhysicalRange, _ tag: Tag) {
        self.range = range
        self.tag = tag
    }
}

/// A sorted list of disjoint, non-empty ranges, each with a tag. Neighbours that touch and have equal tags are one.
///
/// The firmware's map is one, and so are the boot allocator's two lists. An array in memory that the caller provides:
/// boot has tens of ranges, and an array is the simplest thing that can be searched in O(log n). It never grows by
/// itself: `BootAllocator` moves it to a larger array.
@safe
public struct RangeList<Tag: Equatable & Sendable>: ~Copyable {
    /// What the list holds.
    public typealias Element = TaggedRange<Tag>

    private var storage: UnsafeMutableBufferPointer<Element>

    /// The number of ranges in the list.
    public private(set) var count = 0

    /// The sum of all ranges, in bytes.
    public private(set) var totalByteCount: UInt = 0

    /// An empty list.
    /// - Parameter storage: room for the ranges, of the list's own for as long as it lives; contents do not matter.
    @unsafe
    public init(storage: UnsafeMutableBufferPointer<Element>) { unsafe self.storage = storage }

    /// The number of ranges that there is room for.
    // Reads the buffer's length, no memory.
    public var capacity: Int { unsafe storage.count }

    /// The range at `index`, in ascending order of addresses.
    /// - Precondition: `0 <= index < count`.
    public subscript(index: Int) -> Element {
        precondition(0 <= index && index < count, "no such range")
        // Entries below count are initialised, and count <= storage.count.
        return unsafe storage[index]
    }

    // MARK: Search

    /// The index of the first range that ends beyond `address`, or `count`.
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

    /// The index of the last range that starts below `address`; nil where none does.
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

    /// The range that contains `address`; nil where none does.
    /// - Complexity: O(log n).
    public func element(containing address: PhysicalAddress) -> Element? {
        let index = firstIndex(endingAfter: address)
        return index < count && self[index].range.contains(address) ? self[index] : nil
    }

    /// True when some range shares a byte with `range`.
    /// - Complexity: O(log n).
    public func overlaps(_ range: PhysicalRange) -> Bool {
        let index = firstIndex(endingAfter: range.start)
        return index < count && self[index].range.overlaps(range)
    }

    /// True when all of `range` lies within ranges of the list. True for an empty range.
    /// - Complexity: O(log n) and the ranges within it.
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

    // MARK: Entries

    /// Makes the range at `index` larger or smaller; its neighbours stay clear of it.
    mutating func replace(_ index: Int, with range: PhysicalRange) {
        totalByteCount = totalByteCount &- self[index].range.byteCount &+ range.byteCount
        // The subscript has checked the index.
        unsafe storage[index].range = range
    }

    mutating func insert(_ element: Element, at index: Int) {
        precondition(count < capacity && index <= count, "no room for a range")
        var position = count
        while position > index {
            // count < capacity, so that position is within the storage.
            unsafe storage[position] = storage[position &- 1]
            position &-= 1
        }
        unsafe storage[index] = element
        count &+= 1
        totalByteCount &+= element.range.byteCount
    }

    mutating func remove(at index: Int) {
        totalByteCount &-= self[index].range.byteCount
        for position in index..<(count &- 1) {
            // position + 1 < count.
            unsafe storage[position] = storage[position &+ 1]
        }
        count &-= 1
    }

    /// Copies the ranges to `storage` and uses it from now on.
    /// - Returns: the storage used before.
    /// - Precondition: there is room for all ranges.
    @unsafe
    mutating func move(to storage: UnsafeMutableBufferPointer<Element>) -> UnsafeMutableBufferPointer<Element> {
        precondition(storage.count >= count, "the new array is smaller than the list")
        for index in 0..<count {
            // The new storage is the caller's to give and has room, as was just checked.
            unsafe storage.initializeElement(at: index, to: self[index])
        }
        let old = unsafe self.storage
        unsafe self.storage = storage
        return unsafe old
    }
}
