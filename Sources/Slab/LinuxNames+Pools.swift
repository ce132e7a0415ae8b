import MemoryPrimitives
import PageFrames

// Linux's names for the calls on memory pools. A pool is its owner's value: it is destroyed once, and when its owner ends
// at the latest.
extension MemoryPool {
    /// A pool of `minimum` elements of `size` bytes. - Returns: nil where `MemoryPool.init` throws.
    public static func mempool_create_kmalloc_pool(
        _ minimum: Int, _ size: UInt, in kmalloc: Permanent<Kmalloc<P>>
    ) -> MemoryPool? {
        try? MemoryPool(minimum, elementSize: size, in: kmalloc)
    }

    /// A pool of `minimum` objects of a cache.
    public static func mempool_create_slab_pool(
        _ minimum: Int, _ cache: CacheReference<P>, in kmalloc: Permanent<Kmalloc<P>>
    ) -> MemoryPool? {
        try? MemoryPool(minimum, of: cache, in: kmalloc)
    }

    /// A pool of `minimum` blocks of page frames.
    public static func mempool_create_page_pool(
        _ minimum: Int, _ order: Int, in kmalloc: Permanent<Kmalloc<P>>
    ) -> MemoryPool? {
        try? MemoryPool(minimum, order: order, in: kmalloc)
    }

    /// `allocate(flags:)`.
    public borrowing func mempool_alloc(_ flags: AllocationFlags) -> UnsafeMutableRawPointer? {
        unsafe allocate(flags: flags)
    }

    /// `free(_:)`.
    public borrowing func mempool_free(_ element: UnsafeMutableRawPointer?) { unsafe free(element) }

    /// `resize(to:)`. - Returns: false where that throws.
    public borrowing func mempool_resize(_ minimum: Int) -> Bool { (try? resize(to: minimum)) != nil }

    /// Ends the pool.
    public consuming func mempool_destroy() {}
}
