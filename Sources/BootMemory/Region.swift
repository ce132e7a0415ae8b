import MemoryPrimitives

/// What the boot allocator's lists say of a range.
public struct RegionTag: Equatable, Sendable {
    /// Whose it is; `none` in the list of memory.
    public var owner: RegionOwner
    /// The node that the memory is near to; nil in the list of reservations, which may span several nodes and need not
    /// be memory.
    public var node: MemoryNode?

    /// A tag for memory of `owner` near to `node`.
    public init(owner: RegionOwner, node: MemoryNode?) {
        self.owner = owner
        self.node = node
    }
}

/// A range of memory with its node, or a reservation with its owner.
public typealias Region = TaggedRange<RegionTag>

extension TaggedRange where Tag == RegionTag {
    /// A reservation.
    public init(_ range: PhysicalRange, _ owner: RegionOwner) {
        self.init(range, RegionTag(owner: owner, node: nil))
    }

    /// A range of memory.
    public init(_ range: PhysicalRange, node: MemoryNode) {
        self.init(range, RegionTag(owner: .none, node: node))
    }

    /// Whose the range is.
    public var owner: RegionOwner { tag.owner }

    /// The node that it is near to; nil where it is not known.
    public var node: MemoryNode? { tag.node }
}
