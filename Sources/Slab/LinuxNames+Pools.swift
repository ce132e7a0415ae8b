import MemoryPrimitives
import PageFrames

// Linux's names for the calls on memory pools. A pool is its owner's value: it is destroyed once, and when its owner ends
// at the latest.
extension MemoryPool {
    /// A pool of `minimum` elements of `size` bytes. - Returns: nil where `MemoryPool.init` throws.
    /// - Complexity: O(elements). For contexts that may wait.
    public static func mempool_create_kmalloc_pool(
        _ minimum: Int, _ size: UInt, in kmalloc: Permanent<Kmalloc<P>>
    ) -> MemoryPool? {
        try? MemoryPool(minimum, elementSize: size, in: kmalloc)
    }

    /// A pool of `minimum` objects of a cache.
    /// - Complexity: O(elements). For contexts that may wait.
    public static func mempool_create_slab_pool(
        _ minimum: Int, _ cache: CacheReference<P>, in kmalloc: Permanent<Kmalloc<P>>
    ) -> MemoryPool? {
        try? MemoryPool(minimum, of: cache, in: kmalloc)
    }

    /// A pool of `minimum` blocks of page frames.
    /// - Complexity: O(elements). For contexts that may wait.
    public static func mempool_create_page_pool(
        _ minimum: Int, _ order: Int, in kmalloc: Permanent<Kmalloc<P>>
    ) -> MemoryPool? {
        try? MemoryPool(minimum, order: order, in: kmalloc)
    }

    /// `allocate(flags:)`.
    /// - Complexity: as the allocator's. Any context.
    public borrowing func mempool_alloc(_ flags: AllocationFlags) -> UnsafeMutableRawPointer? {
        unsafe allocate(flags: flags)
    }

    /// `free(_:)`.
    /// - Complexity: as the allocator's. Any context.
    public borrowing func mempool_free(_ element: UnsafeMutableRawPointer?) { unsafe free(element) }

    /// `resize(to:)`. - Returns: false where that throws.
    /// - Complexity: O(elements). For contexts that may wait; one caller at a time.
    public borrowing func mempool_resize(_ minimum: Int) -> Bool { (try? resize(to: minimum)) != nil }

    /// Ends the pool.
    /// - Complexity: O(elements). For contexts that may wait.
    public consuming func mempool_destroy() {}
}
