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

    /// How many entries from `index` on are empty; at most `limit`, which ends within the table.
    func emptyEntries(from index: Int, limit: Int) -> Int {
        var count = 0
        while count < limit && self[index &+ count].isEmpty { count &+= 1 }
        return count
    }

    /// Writes `count` entries from `index` on, each `difference` more than the one before.
    func fill(from index: Int, count: Int, with first: PageTableEntry, difference: UInt) {
        var entry = first
        for position in index..<index &+ count {
            self[position] = entry
            entry.rawValue &+= difference
        }
    }

    /// How many entries from `index` on, a leaf of `size`, equal that one but for the memory they map, each a page
    /// further on than the one before.
    func equalLeaves(from index: Int, size: PageSize) -> Int {
        var expected = self[index].rawValue
        // No further than the last page that an entry can name: beyond it, the sum would run into the bits above.
        let room = (PageTableEntry.addressMask &- (expected & PageTableEntry.addressMask)) >> size.shift
        let end = index &+ min(Self.entryCount &- index, Int(bitPattern: room) &+ 1)
        var next = index
        repeat {
            next &+= 1
            expected &+= size.byteCount
        } while next < end && self[next].rawValue == expected
        return next &- index
    }

    /// The index of the entry for `address` in a table at `level`.
    @inline(__always)
    static func index(of address: UInt, atLevel level: Int) -> Int {
        Int(bitPattern: (address >> shift(ofLevel: level)) & 511)
    }

    /// log2 of the bytes that an entry at `level` stands for: 12, 21, 30, 39.
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
