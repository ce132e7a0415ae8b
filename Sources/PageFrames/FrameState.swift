/// What a page frame is used for.
///
///     state          what the frame is                        moved here by               leaves through
///     -------------  ---------------------------------------  --------------------------  --------------------
///     interior       free, or part of a block after its head  free; bring-up              allocate
///     allocatedHead  first frame of a block handed out        allocate; release           free, claim
///     compoundHead   the same, of a compound block            allocate with `.compound`   free
///     slab           first frame of a slab                    claim                       release
///     slabTail       another frame of a slab                  claim                       release
///     table          a page table                             claim                       release
///     reserved       kept from the allocator since boot       bring-up                    -
///     absent         no RAM, or RAM that was never given      bring-up                    -
///     guardPage      first frame behind a guarded block       allocate (`debug_guardpage`)  free of that block
///
///     interior -allocate-> allocatedHead -claim-> slab | table
///     interior <---free--- allocatedHead <-release- slab | table
///
/// Which of the frames in state `interior` are free is known to the page blocks (see `PageBlock`) and to the frame
/// caches alone: a descriptor says only whether a block in use begins here, so that splitting and merging free blocks
/// touches no descriptor. Zero is `interior`, so that zero-filled descriptors are those of frames that nobody uses. A
/// struct and not an enumeration, because a damaged byte must stay a value that can be looked at.
public struct FrameState: RawRepresentable, Equatable, Sendable {
    /// The state as a descriptor stores it.
    public var rawValue: UInt8

    /// The state that is stored so; any value is one, also a damaged one.
    @inline(__always)
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Free, or part of a block after its head.
    @inline(__always) public static var interior: FrameState { FrameState(rawValue: 0) }
    /// An answer of `PageFrameAllocator.state(of:)`; never stored in a descriptor.
    @inline(__always) public static var free: FrameState { FrameState(rawValue: 1) }
    /// The first frame of a block that is handed out.
    @inline(__always) public static var allocatedHead: FrameState { FrameState(rawValue: 2) }
    /// The first frame of a slab.
    @inline(__always) public static var slab: FrameState { FrameState(rawValue: 32) }
    /// Another frame of a slab.
    @inline(__always) public static var slabTail: FrameState { FrameState(rawValue: 33) }
    /// A page table.
    @inline(__always) public static var table: FrameState { FrameState(rawValue: 5) }
    /// Kept from the allocator since boot.
    @inline(__always) public static var reserved: FrameState { FrameState(rawValue: 6) }
    /// No RAM, or RAM that was never given to the allocator.
    @inline(__always) public static var absent: FrameState { FrameState(rawValue: 7) }
    /// The first frame behind a guarded block (`debug_guardpage`).
    @inline(__always) public static var guardPage: FrameState { FrameState(rawValue: 16) }
    /// The first frame of a compound block that is handed out.
    @inline(__always) public static var compoundHead: FrameState { FrameState(rawValue: 8) }

    /// True for every frame of a slab: one bit, which no other state has.
    @inline(__always)
    public var isSlab: Bool { rawValue & 32 != 0 }

    /// The state in words, for reports.
    public var name: StaticString {
        switch self {
        case .interior: "interior"
        case .free: "free"
        case .allocatedHead: "allocated"
        case .compoundHead: "allocated (compound)"
        case .slab: "slab"
        case .slabTail: "slab (tail)"
        case .table: "page table"
        case .reserved: "reserved"
        case .absent: "absent"
        case .guardPage: "guard page"
        default: "damaged"
        }
    }

    /// True for the first frame of a block in use, whoever owns it: the descriptor's order is valid.
    @inline(__always)
    var isHead: Bool {
        self == .allocatedHead || self == .compoundHead || self == .slab || self == .table || self == .guardPage
    }
}
