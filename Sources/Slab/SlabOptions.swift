/// What is decided about all caches when kmalloc is set up.
public struct SlabOptions: Sendable {
    /// Whether objects come in an order that cannot be foreseen (`slab_random=`).
    public var randomOrder = true

    /// Every how many allocations one goes to a page of its own between guard pages (`kfence.sample_interval=`); 0 for
    /// none. Above 0 all caches that could take part are watched, which makes each of their calls slower.
    public var sampleInterval: UInt = 0

    /// How many objects can be guarded at a time (`kfence.num_objects=`).
    public var guardedObjectCount: UInt = 255

    public init() {}
}
