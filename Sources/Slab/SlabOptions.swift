/// What is decided about all caches when kmalloc is set up.
public struct SlabOptions: Sendable {
    /// Whether objects come in an order that cannot be foreseen (`slab_random=`).
    public var randomOrder = true

    public init() {}
}
