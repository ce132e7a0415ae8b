/// What a page frame is used for.
///
///     state          what the frame is                        moved here by               leaves through
///     -------------  ---------------------------------------  --------------------------  --------------------
///     interior       part of a block, not its first frame     merging; splitting it off   becoming a head
///     freeHead       first frame of a free block              free, split                 allocate, merge
///     allocatedHead  first frame of a block handed out        allocate; release           free, claim
///     slab           first frame of a slab                    claim                       release
///     slabTail       another frame of a slab                  claim                       release
///     table          a page table                             claim                       release
///     reserved       kept from the allocator since boot       bring-up                    -
///     absent         no RAM, or RAM that was never given      bring-up                    -
///
///     free -allocate-> allocatedHead -claim-> slab | table
///     free <---free--- allocatedHead <-release- slab | table
///
/// Zero is `interior`, so that zero-filled descriptors are the inside of one block. A struct and not an enumeration,
/// because a damaged byte must stay a value that can be looked at.
public struct FrameState: RawRepresentable, Equatable, Sendable {
    public var rawValue: UInt8

    @inline(__always)
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    @inline(__always) public static var interior: FrameState { FrameState(rawValue: 0) }
    @inline(__always) public static var freeHead: FrameState { FrameState(rawValue: 1) }
    @inline(__always) public static var allocatedHead: FrameState { FrameState(rawValue: 2) }
    @inline(__always) public static var slab: FrameState { FrameState(rawValue: 3) }
    @inline(__always) public static var slabTail: FrameState { FrameState(rawValue: 4) }
    @inline(__always) public static var table: FrameState { FrameState(rawValue: 5) }
    @inline(__always) public static var reserved: FrameState { FrameState(rawValue: 6) }
    @inline(__always) public static var absent: FrameState { FrameState(rawValue: 7) }

    /// The state in words, for reports.
    public var name: StaticString {
        switch self {
        case .interior: "interior"
        case .freeHead: "free"
        case .allocatedHead: "allocated"
        case .slab: "slab"
        case .slabTail: "slab (tail)"
        case .table: "page table"
        case .reserved: "reserved"
        case .absent: "absent"
        default: "damaged"
        }
    }

    /// True for the first frame of a block, whoever owns it: the descriptor's order is valid.
    @inline(__always)
    var isHead: Bool { self == .freeHead || self == .allocatedHead || self == .slab || self == .table }
}
