import MemoryPrimitives

/// A doubly linked list of slabs, threaded through their headers. Under the cache's lock.
struct SlabList {
    private(set) var first: SlabPage?
    private(set) var count = 0

    /// - Complexity: O(1).
    @inline(__always)
    mutating func insert(_ slab: SlabPage) {
        slab.previous = nil
        slab.next = first
        first?.previous = slab
        first = slab
        count &+= 1
    }

    /// Takes out a slab that is in this list. - Complexity: O(1).
    @inline(__always)
    mutating func remove(_ slab: SlabPage) {
        if let previous = slab.previous { previous.next = slab.next } else { first = slab.next }
        slab.next?.previous = slab.previous
        slab.next = nil
        slab.previous = nil
        count &-= 1
    }

    /// Notes down for a debugger how a list is read.
    @inline(never)
    static func writeDebuggerNotes(to notes: inout DebuggerNotes) {
        notes.note("slab_list.size", MemoryLayout<SlabList>.stride)
        // Room for one, of which only addresses are taken.
        unsafe withUnsafeTemporaryAllocation(of: SlabList.self, capacity: 1) { room in
            guard let list = room.baseAddress else { return }
            let base = UInt(bitPattern: list)
            unsafe notes.noteOffset("slab_list.first", of: &list.pointee.first, from: base)
            unsafe notes.noteOffset("slab_list.count", of: &list.pointee.count, from: base)
        }
    }
}

/// The slabs of a cache, by how many of their objects are free:
///
///     0 full | 1 up to a quarter free | 2 up to a half | 3 | 4 nearly all | 5 empty: all free
///
/// Objects are taken from the fullest slab that has one, so that others become empty and can be given back.
///
/// A value of this type is a view of memory in the cache's own. Under the cache's lock.
@safe
struct SlabLists {
    static var count: Int { 6 }
    static var full: Int { 0 }
    static var empty: Int { 5 }
    /// In no list: being made or given back.
    static var none: Int { 255 }

    private let lists: UnsafeMutablePointer<SlabList>
    /// Bit i is set when list i has a slab.
    private var used: UInt32 = 0
    /// 4 * 65536 / objects of a slab, so that the list is found without a division.
    private let scale: Int
    private let objectCount: Int

    /// Bytes of memory that `init` needs, aligned to 8.
    static var byteCount: Int { count * MemoryLayout<SlabList>.stride }

    /// Empty lists in `memory`, for slabs of `objectCount` objects.
    @unsafe
    init(in memory: UnsafeMutableRawPointer, objectCount: Int) {
        unsafe lists = memory.bindMemory(to: SlabList.self, capacity: Self.count)
        unsafe lists.initialize(repeating: SlabList(), count: Self.count)
        self.objectCount = objectCount
        scale = (4 << 16) / objectCount
    }

    /// The number of slabs.
    var slabCount: Int {
        var sum = 0
        for index in 0..<Self.count { sum &+= slabCount(in: index) }
        return sum
    }

    /// The number of slabs in a list, `0 ..< count`.
    @inline(__always)
    func slabCount(in list: Int) -> Int { unsafe lists[list].count }

    /// The slab in front of a list, `0 ..< count`.
    @inline(__always)
    func first(in list: Int) -> SlabPage? { unsafe lists[list].first }

    /// The fullest slab with a free object. - Complexity: O(1).
    @inline(__always)
    var fullestUsable: SlabPage? {
        let usable = used & ~1
        return usable == 0 ? nil : first(in: usable.trailingZeroBitCount)
    }

    /// The list of a slab with `free` objects.
    @inline(__always)
    func list(free: Int) -> Int {
        if free == objectCount { return Self.empty }
        return free == 0 ? Self.full : 1 &+ (free &* scale) &>> 16
    }

    /// Puts a slab into the list that its number of free objects says. - Complexity: O(1).
    @inline(__always)
    mutating func place(_ slab: SlabPage) {
        let list = list(free: slab.freeCount)
        if slab.list != list { move(slab, to: list) }
    }

    @inline(never)
    private mutating func move(_ slab: SlabPage, to list: Int) {
        unlink(slab)
        // There are so many lists; `list` is one of them.
        unsafe lists[list].insert(slab)
        used |= 1 &<< UInt32(truncatingIfNeeded: list)
        slab.list = list
    }

    /// Takes a slab out of its list, if it is in one. - Complexity: O(1).
    @inline(__always)
    mutating func unlink(_ slab: SlabPage) {
        let list = slab.list
        if list == Self.none { return }
        // As above.
        unsafe lists[list].remove(slab)
        if slabCount(in: list) == 0 { used &= ~(1 &<< UInt32(truncatingIfNeeded: list)) }
        slab.list = Self.none
    }
}
