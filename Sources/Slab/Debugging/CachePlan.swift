import MemoryPrimitives

/// How a cache is made: what its maker asks for, and what the command line adds.
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
        self.flags = all
        layout = SlotParts(objectSize: objectSize, alignment: alignment, flags: all).layout
        isWatched =
            all.rawValue & (CacheFlags.debugging | .failslab).rawValue != 0 || options.zeroOnAllocation
            || options.zeroOnFree || options.quarantineByteCount > 0
    }
}
