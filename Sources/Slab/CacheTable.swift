import MemoryPrimitives
import PageFrames

/// All caches of `Kmalloc`, side by side in memory of their own: ordinary, DMA, and the cache of slab headers.
struct CacheTable<P: Platform> {
    private let caches: InlineArray<27, Permanent<SlabCache<P>>>

    private static var cacheStride: Int { (MemoryLayout<SlabCache<P>>.size + 63) & ~63 }
    private static var stride: Int { cacheStride + (MemoryLayout<SlabCache<P>.State>.size + 63) & ~63 }

    /// Bytes of memory that `init` needs, aligned to 64.
    static var byteCount: Int { Kmalloc<P>.cacheCount * stride }

    /// All caches, without slabs, in `memory`: `byteCount` bytes, aligned to 64, never given back.
    @unsafe
    init(in memory: UnsafeMutableRawPointer, frames: Permanent<PageFrameAllocator<P>>) {
        let headerIndex = Kmalloc<P>.headerCacheIndex
        // A header with the state bytes of 16 objects, the most of any slab whose header lies elsewhere.
        let headerLayout = SlabLayout(objectSize: 96, order: 0)
        let headers = unsafe Self.place(
            headerIndex, "slab-header", headerLayout, .none, frames, headers: nil, in: memory)
        var caches = InlineArray<27, Permanent<SlabCache<P>>>(repeating: headers)
        for index in 0..<headerIndex {
            let isDMA = index >= SizeClass.count
            let sizeClass = SizeClass(index: isDMA ? index - SizeClass.count : index)
            let layout = SlabLayout(objectSize: sizeClass.byteCount, order: sizeClass.order)
            precondition(
                layout.headerOffset != nil
                    || SlabHeader.byteCount(objectCount: layout.objectCount) <= headerLayout.objectSize,
                "a slab's header is too large for the header cache")
            // The cache's own part of the memory, by init's contract large enough for all of them.
            caches[index] = unsafe Self.place(
                index, sizeClass.name(isDMA: isDMA), layout, isDMA ? .dma : .none, frames,
                headers: headers, in: memory)
        }
        self.caches = caches
    }

    /// - Parameter memory: that of all caches. Each has a part of its own: the cache, and its state behind it.
    @unsafe
    private static func place(
        _ index: Int, _ name: StaticString, _ layout: SlabLayout, _ zone: AllocationFlags,
        _ frames: Permanent<PageFrameAllocator<P>>, headers: Permanent<SlabCache<P>>?,
        in memory: UnsafeMutableRawPointer
    ) -> Permanent<SlabCache<P>> {
        // index < cacheCount, and the memory has a stride for each.
        let cache = unsafe memory + index * stride
        let state = unsafe (cache + cacheStride).bindMemory(to: SlabCache<P>.State.self, capacity: 1)
        return unsafe Permanent(
            placing: SlabCache(
                name: name, index: index, layout: layout, zone: zone, frames: frames, headers: headers,
                state: state),
            at: cache.bindMemory(to: SlabCache<P>.self, capacity: 1))
    }

    /// The cache with an index below `Kmalloc.cacheCount`.
    subscript(index: Int) -> Permanent<SlabCache<P>> { caches[index] }
}
