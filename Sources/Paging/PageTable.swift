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
