/// Whether the contents of a frame can be moved or given up: what page blocks are grouped by, so that those that stay
/// for good do not break up every large block. Linux's migrate types, with its numbers.
public enum Mobility: UInt8, Sendable {
    /// The contents stay where they are.
    case unmovable = 0
    /// The contents can be moved to another frame.
    case movable = 1
    /// The contents can be given up.
    case reclaimable = 2
    /// Kept for urgent requests of more than one frame.
    case highAtomic = 3
    /// Part of an area that is kept for large contiguous buffers; movable contents may use it until then.
    case contiguous = 4
    /// Taken out of use while a contiguous range is being put together.
    case isolated = 5

    /// The number of groups.
    @inline(__always)
    public static var count: Int { 6 }

    /// Calls `body` with each group, in the order of Linux's reports. (`CaseIterable` would make an array.)
    @inline(__always)
    public static func forEach(_ body: (Mobility) -> Void) {
        body(.unmovable)
        body(.movable)
        body(.reclaimable)
        body(.highAtomic)
        body(.contiguous)
        body(.isolated)
    }

    /// The group's name in Linux's `/proc/pagetypeinfo`.
    public var name: StaticString {
        switch self {
        case .unmovable: "Unmovable"
        case .movable: "Movable"
        case .reclaimable: "Reclaimable"
        case .highAtomic: "HighAtomic"
        case .contiguous: "CMA"
        case .isolated: "Isolate"
        }
    }

    /// The letter that stands for the group in Linux's reports of failed allocations.
    public var mark: UInt8 {
        switch self {
        case .unmovable: UInt8(ascii: "U")
        case .movable: UInt8(ascii: "M")
        case .reclaimable: UInt8(ascii: "E")
        case .highAtomic: UInt8(ascii: "H")
        case .contiguous: UInt8(ascii: "C")
        case .isolated: UInt8(ascii: "I")
        }
    }
}
