import MemoryPrimitives

/// A part of the firmware's map that was not taken as it stood, and why. Kept so that the kernel can log it.
public struct MapAdjustment: Equatable, Sendable {
    /// Why a range was not taken as it stood.
    public enum Reason: UInt8, CaseIterable, Sendable {
        /// The entry has no length. Dropped.
        case empty
        /// The entry's end lies beyond 2^64. Dropped; the range ends at the highest address that there is.
        case wraps
        /// The entry lies wholly beyond what the CPU can address. Dropped.
        case beyondLimit
        /// The part of an entry beyond what the CPU can address. Cut off.
        case clipped
        /// Available memory beyond the limit that the user set. Cut off.
        case beyondUserLimit
        /// The part of a page of which the rest is not available. Trimmed.
        case partialPage
        /// Described twice, with different kinds. The more restrictive one holds.
        case overlap
        /// There was no room in the map. Dropped, and if it was not available memory, so is all available memory that
        /// it overlaps or that comes after it.
        case noRoom

        /// The reason in words, for reports.
        public var name: StaticString {
            switch self {
            case .empty: "empty entry"
            case .wraps: "entry wraps round"
            case .beyondLimit: "beyond what the CPU can address"
            case .clipped: "clipped to what the CPU can address"
            case .beyondUserLimit: "beyond the limit on the command line"
            case .partialPage: "partial page"
            case .overlap: "described twice"
            case .noRoom: "no room in the map"
            }
        }
    }

    /// Why it was not taken as it stood.
    public var reason: Reason
    /// The part of the entry that this is said of.
    public var range: PhysicalRange
    /// What the entry says that the range is.
    public var kind: MemoryKind

    /// A note that `range`, which an entry says is `kind`, was not taken as it stood.
    public init(_ reason: Reason, _ range: PhysicalRange, _ kind: MemoryKind) {
        self.reason = reason
        self.range = range
        self.kind = kind
    }
}

/// The adjustments that there was room for, and how many there were.
@safe
public struct MapAdjustmentLog: ~Copyable {
    private let storage: UnsafeMutableBufferPointer<MapAdjustment>

    /// The number of adjustments kept.
    public private(set) var count = 0

    /// The number of adjustments made, kept or not.
    public private(set) var total = 0

    @unsafe
    init(storage: UnsafeMutableBufferPointer<MapAdjustment>) { unsafe self.storage = storage }

    /// The adjustment at `index`, in the order in which they were made.
    /// - Precondition: `0 <= index < count`.
    public subscript(index: Int) -> MapAdjustment {
        precondition(0 <= index && index < count, "no such adjustment")
        // Entries below count are initialised, and count <= storage.count.
        return unsafe storage[index]
    }

    mutating func append(_ reason: MapAdjustment.Reason, _ range: PhysicalRange, _ kind: MemoryKind) {
        total &+= 1
        // Reads the buffer's length, no memory.
        guard count < (unsafe storage.count) else { return }
        // There is room, as was just checked.
        unsafe storage.initializeElement(at: count, to: MapAdjustment(reason, range, kind))
        count &+= 1
    }
}
