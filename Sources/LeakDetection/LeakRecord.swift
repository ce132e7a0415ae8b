import MemoryPrimitives
import PageFrames

/// What the detector knows of one allocation. Colours are Linux's: in a scan an allocation is
///
///     white   fewer references than `minimumCount` have been found: lost, unless more are
///     grey    enough have: what it holds is looked through in its turn
///     black   `minimumCount` is below 0: neither reported nor looked through
struct LeakRecord {
    struct Marks: FlagSet {
        var rawValue: UInt8

        /// References within it do not count.
        static var noScan: Marks { Marks(rawValue: 1) }
        /// In the queue, or being looked through: whoever does that gives the record back when it is dead.
        static var isHeld: Marks { Marks(rawValue: 2) }
        /// The memory has been freed; the record is in the tree no longer.
        static var isDead: Marks { Marks(rawValue: 4) }
        /// It counts as reported.
        static var isReported: Marks { Marks(rawValue: 8) }
        /// `checksum` is that of the scan before.
        static var hasChecksum: Marks { Marks(rawValue: 16) }
    }

    /// The first address.
    var start: UInt
    var byteCount: UInt
    let kind: WatchedKind
    var marks = Marks.none
    /// Nodes on the longest way down the tree from here, this one included.
    var height: UInt8 = 1
    let cpu: UInt16
    /// References that it takes not to be lost: 1; 0 for none (grey from the start), -1 for black.
    var minimumCount: Int32
    /// References found in the scan that is under way, or was last.
    var count: Int32 = 0
    /// The cycle counter when it was allocated.
    let time: UInt64
    /// Of the contents, when a scan last found it white.
    var checksum: UInt64 = 0
    var parent: LeakReference?
    var left: LeakReference?
    var right: LeakReference?
    /// The next in the queue, or in the list of free records.
    var next: LeakReference?
    /// Who allocated it.
    var trace: StackTrace

    init(
        _ start: UInt, byteCount: UInt, _ kind: WatchedKind, cpu: Int, time: UInt64, minimumCount: Int32,
        trace: borrowing StackTrace
    ) {
        self.start = start
        self.byteCount = byteCount
        self.kind = kind
        self.cpu = UInt16(truncatingIfNeeded: cpu)
        self.time = time
        self.minimumCount = minimumCount
        self.trace = copy trace
    }

    /// One beyond the last address.
    var end: UInt { start &+ byteCount }

    var isWhite: Bool { count < minimumCount }
}

/// A record by its place in memory.
///
/// Whoever holds one holds the detector's lock, under which a record that the tree or the queue reaches is never given
/// back, or has marked the record as held.
@safe
struct LeakReference: Equatable {
    let pointer: UnsafeMutablePointer<LeakRecord>

    /// - Parameter pointer: room for a record in the detector's own memory.
    @unsafe
    init(_ pointer: UnsafeMutablePointer<LeakRecord>) { unsafe self.pointer = pointer }

    var record: LeakRecord {
        @inline(__always)
        unsafeAddress { unsafe UnsafePointer(pointer) }  // See the type.
        @inline(__always)
        nonmutating unsafeMutableAddress { unsafe pointer }  // As above; under the lock there is no other writer.
    }

    static func == (one: LeakReference, other: LeakReference) -> Bool { unsafe one.pointer == other.pointer }

    @inline(__always)
    func has(_ marks: LeakRecord.Marks) -> Bool { record.marks.contains(marks) }

    @inline(__always)
    func set(_ marks: LeakRecord.Marks) { record.marks = record.marks | marks }

    @inline(__always)
    func unset(_ marks: LeakRecord.Marks) { record.marks.subtract(marks) }
}

/// Records by address, none of which overlap.
typealias LeakTree = BalancedTree<LeakReference>

extension LeakReference: BalancedTreeNode {
    @inline(__always)
    var firstByte: UInt { record.start }

    @inline(__always)
    var lastByte: UInt { record.start &+ (record.byteCount &- 1) }

    var parent: LeakReference? {
        @inline(__always)
        get { record.parent }
        @inline(__always)
        nonmutating set { record.parent = newValue }
    }

    var left: LeakReference? {
        @inline(__always)
        get { record.left }
        @inline(__always)
        nonmutating set { record.left = newValue }
    }

    var right: LeakReference? {
        @inline(__always)
        get { record.right }
        @inline(__always)
        nonmutating set { record.right = newValue }
    }

    var height: Int {
        @inline(__always)
        get { Int(record.height) }
        // At most 1.44 log2 of as many records as there can be.
        @inline(__always)
        nonmutating set { record.height = UInt8(truncatingIfNeeded: newValue) }
    }
}
