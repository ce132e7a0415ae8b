import MemoryPrimitives
import Synchronization

/// One table of 512 entries in physical memory: the only place where entries are read and written.
///
/// Entries are atomic words, because the CPUs' page walks read them at any time.
@safe
struct PageTable {
    static let entryCount = 512

    private let entries: UnsafeMutablePointer<Atomic<UInt>>

    /// - Parameter address: a frame that holds a table; the direct map covers it.
    @inline(__always)
    init(at address: PhysicalAddress, _ directMap: DirectMap) {
        unsafe entries = directMap.pointer(to: address).assumingMemoryBound(to: Atomic<UInt>.self)
    }

    @inline(__always)
    subscript(index: Int) -> PageTableEntry {
        get {
            // The mask keeps the index within the frame.
            unsafe PageTableEntry(rawValue: entries[index & 511].load(ordering: .acquiring))
        }
        nonmutating set {
            unsafe entries[index & 511].store(newValue.rawValue, ordering: .releasing)
        }
    }

    /// Clears bits of an entry in one step. - Returns: the entry as it was.
    func clear(_ bits: UInt, at index: Int) -> PageTableEntry {
        // The mask keeps the index within the frame; below too.
        unsafe PageTableEntry(
            rawValue: entries[index & 511].bitwiseAnd(~bits, ordering: .acquiringAndReleasing).oldValue)
    }

    /// Sets bits of an entry in one step.
    func set(_ bits: UInt, at index: Int) {
        _ = unsafe entries[index & 511].bitwiseOr(bits, ordering: .acquiringAndReleasing)
    }

    /// Replaces an entry where it is still `expected`. - Returns: false where it was another.
    @inline(__always)
    func replace(_ expected: PageTableEntry, by new: PageTableEntry, at index: Int) -> Bool {
        unsafe entries[index & 511].compareExchange(
            expected: expected.rawValue, desired: new.rawValue, ordering: .acquiringAndReleasing
        ).exchanged
    }

    /// Replaces an entry. - Returns: the one that was there.
    func exchange(_ new: PageTableEntry, at index: Int) -> PageTableEntry {
        unsafe PageTableEntry(
            rawValue: entries[index & 511].exchange(new.rawValue, ordering: .acquiringAndReleasing))
    }

    /// The first entry from `index` on that is not empty; nil where all are, or where the table ends.
    func nextUsed(from index: Int) -> Int? {
        if index >= Self.entryCount { return nil }
        let used = index &+ emptyEntries(from: index, limit: Self.entryCount)
        return used < Self.entryCount ? used : nil
    }

    /// The first entry that is not empty and that `matches`.
    @inline(__always)
    func firstUsed(where matches: (PageTableEntry) -> Bool) -> Int? {
        var next = nextUsed(from: 0)
        while let index = next {
            if matches(self[index]) { return index }
            next = nextUsed(from: index &+ 1)
        }
        return nil
    }

    /// How many entries from `index` on are empty; at most `limit`.
    func emptyEntries(from index: Int, limit: Int) -> Int { series(from: index, limit: limit, 0, difference: 0) }

    /// How many entries from `index` on, a leaf of `size`, equal that one but for the memory they map, each a page
    /// further on than the one before.
    func equalLeaves(from index: Int, size: PageSize) -> Int {
        let first = self[index].rawValue
        // No further than the last page that an entry can name: beyond it, the sum would run into the bits above.
        let room = (PageTableEntry.addressMask &- (first & PageTableEntry.addressMask)) >> size.shift
        return series(from: index, limit: Int(bitPattern: room) &+ 1, first, difference: size.byteCount)
    }

    /// How many entries from `index` on, at most `limit`, are `entry`.
    @inline(__always)
    func equalEntries(from index: Int, limit: Int, _ entry: PageTableEntry) -> Int {
        // Most often one, or all of a few.
        limit == 1 ? (self[index] == entry ? 1 : 0) : series(from: index, limit: limit, entry.rawValue, difference: 0)
    }

    /// The entries of `window`, around the one at `index`, that are `entry`, as that one is.
    @inline(__always)
    func series(like entry: PageTableEntry, around index: Int, in window: Range<Int>) -> Range<Int> {
        var first = index
        while first > window.lowerBound && self[first &- 1] == entry { first &-= 1 }
        var end = index &+ 1
        while end < window.upperBound && self[end] == entry { end &+= 1 }
        return first..<end
    }

    /// Empties `count` entries from `index` on. - Returns: how many were in use, and how many of these were pages.
    @inline(__always)
    func empty(from index: Int, count: Int) -> (used: Int, present: Int) {
        var used = 0
        var present: UInt = 0
        for position in Self.part(from: index, count: count) {
            // Within the frame, as part promises; below too.
            let old = unsafe entries[position].load(ordering: .acquiring)
            if old == 0 { continue }
            unsafe entries[position].store(0, ordering: .releasing)
            used &+= 1
            present &+= old & PageTableEntry.presentBit
        }
        return (used, Int(bitPattern: present))
    }

    /// Writes `count` entries from `index` on, each `difference` more than the one before.
    func fill(from index: Int, count: Int, with first: PageTableEntry, difference: UInt) {
        var entry = first.rawValue
        for position in Self.part(from: index, count: count) {
            // Within the frame, as part promises.
            unsafe entries[position].store(entry, ordering: .releasing)
            entry &+= difference
        }
    }

    /// How many entries from `index` on are `first`, `first + difference` and so on; at most `limit`.
    private func series(from index: Int, limit: Int, _ first: UInt, difference: UInt) -> Int {
        let part = Self.part(from: index, count: limit)
        var next = part.lowerBound
        var expected = first
        // Eight to a turn, because most tables are as expected from end to end.
        while next &+ 8 <= part.upperBound {
            for position in next..<next &+ 8 {
                // Within the frame, as part promises; below too.
                if unsafe entries[position].load(ordering: .acquiring) != expected {
                    return position &- part.lowerBound
                }
                expected &+= difference
            }
            next &+= 8
        }
        while unsafe next < part.upperBound && entries[next].load(ordering: .acquiring) == expected {
            next &+= 1
            expected &+= difference
        }
        return next &- part.lowerBound
    }

    /// The indices of `count` entries from `index` on, or of those to the end of the table.
    @inline(__always)
    private static func part(from index: Int, count: Int) -> Range<Int> {
        let start = index & 511
        return start..<start &+ min(count, entryCount &- start)
    }

    /// The index of the entry for `address` in a table at `level`.
    @inline(__always)
    static func index(of address: UInt, atLevel level: Int) -> Int {
        Int(bitPattern: (address >> shift(ofLevel: level)) & 511)
    }

    /// log2 of the bytes that an entry at `level` stands for: 12, 21, 30, 39, 48.
    @inline(__always)
    static func shift(ofLevel level: Int) -> UInt { 12 &+ 9 &* UInt(bitPattern: level) }

    /// The bytes that an entry at `level` stands for.
    @inline(__always)
    static func byteCount(ofLevel level: Int) -> UInt { 1 << shift(ofLevel: level) }
}

/// The page size of a leaf at `level`, 0 to 2.
@inline(__always)
func pageSize(ofLevel level: Int) -> PageSize {
    level == 0 ? .size4KiB : level == 1 ? .size2MiB : .size1GiB
}
