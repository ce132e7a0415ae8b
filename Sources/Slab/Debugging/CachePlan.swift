import MemoryPrimitives

/// How a cache is made: what its maker asks for, and what the command line adds.
///
/// Where objects are so large that red zones and traces would not fit into a slab with them, they have neither.
struct CachePlan {
    let flags: CacheFlags
    let layout: SlabLayout
    /// See `SlabCache.isWatched`.
    let isWatched: Bool

    /// - Parameters:
    ///   - objectSize: bytes, more than 0.
    ///   - alignment: of each object; a power of two from 8 on.
    ///   - flags: the maker's.
    init(name: CacheName, objectSize: UInt, alignment: UInt, flags: CacheFlags, options: SlabOptions) {
        var all = flags | options.debugging.flags(for: name)
        if let plan = options.failures, plan.concerns(name) { all.formUnion(.failslab) }
        var parts = SlotParts(objectSize: objectSize, alignment: alignment, flags: all)
        if parts.slotSize > SlabLayout.largestSlotSize {
            // Better less debugging than no cache, which the maker does not expect.
            all = all.subtracting(.redZone | .storeUser)
            parts = SlotParts(objectSize: objectSize, alignment: alignment, flags: all)
        }
        self.flags = all
        layout = parts.layout
        isWatched =
            all.rawValue & (CacheFlags.debugging | .failslab | .sampled).rawValue != 0 || options.zeroOnAllocation
            || options.zeroOnFree || options.quarantineByteCount > 0
    }
}
