import MemoryPrimitives

/// How strictly an allocation's wishes are meant.
public struct PlacementOptions: FlagSet {
    /// The options as bits.
    public let rawValue: UInt8

    /// The options of these bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Rather no memory than that of another node.
    public static let exactNode = PlacementOptions(rawValue: 1 << 0)

    /// The lower limit is a wish: where nothing above it fits, what lies below it serves as well. That is what Linux's
    /// `memblock_alloc_try_nid` takes its `min_addr` for; its `memblock_phys_alloc_range` does not.
    public static let mayLieBelowLowerLimit = PlacementOptions(rawValue: 1 << 1)
}

/// What to look for among free memory; see `BootAllocator.allocate`.
struct PlacementRequest {
    var byteCount: UInt
    var alignment: UInt
    var from = PhysicalAddress.zero
    var below = PhysicalAddress.limit
    var node: MemoryNode?
    var direction: BootAllocator.Direction
    /// A range that is about to be recorded and must not be used.
    var avoiding: PhysicalRange?
}
