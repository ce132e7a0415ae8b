/// What is decided about all caches when kmalloc is set up.
public struct SlabOptions: Sendable {
    /// Whether objects come in an order that cannot be foreseen (`slab_random=`).
    public var randomOrder = true
    /// Which caches are debugged beside those whose makers ask for it (`slub_debug=`).
    public var debugging = DebugSelection()
    /// Objects are zeroed when they are handed out, whoever asks (`init_on_alloc=`); not where they are poisoned.
    public var zeroOnAllocation = false
    /// Objects are zeroed when they are freed (`init_on_free=`); not where they are poisoned.
    public var zeroOnFree = false
    /// Bytes of freed objects that wait before they can be had again (`slab_quarantine=`); 0 for none.
    public var quarantineByteCount: UInt = 0
    /// Allocations that fail on purpose (`failslab=`); nil for none, ever.
    public var failures: FailurePlan?
    /// Whether an error is counted, made good and gone on from, instead of being the end (`slab_errors=continue`).
    public var continuesAfterErrors = false

    /// Every how many allocations one goes to a page of its own between guard pages (`kfence.sample_interval=`); 0 for
    /// none. Above 0 all caches that could take part are watched, which makes each of their calls slower.
    public var sampleInterval: UInt = 0

    /// How many objects can be guarded at a time (`kfence.num_objects=`).
    public var guardedObjectCount: UInt = 255

    /// Nothing is checked beyond what always is.
    public init() {}
}
