import MemoryPrimitives
import PageFrames

// Linux's names for the calls on caches.
extension Kmalloc {
    /// `makeCache(_:objectSize:alignment:flags:constructor:)`. - Returns: nil where that throws.
    /// - Complexity: O(caches + CPUs). For contexts that may wait.
    public func kmem_cache_create(
        _ name: StaticString, _ size: UInt, _ align: UInt, _ flags: CacheFlags, _ ctor: ObjectConstructor?
    ) -> CacheReference<P>? {
        unsafe try? makeCache(name, objectSize: size, alignment: align, flags: flags, constructor: ctor)
    }

    /// `destroyCache(_:)`.
    /// - Complexity: as `destroyCache(_:)`. For contexts that may wait, and when nobody uses the cache.
    public func kmem_cache_destroy(_ cache: CacheReference<P>?) { destroyCache(cache) }

    /// `CacheReference.allocate(flags:)`.
    /// - Complexity: O(1) from the magazine. Any context, unless the flags let it wait.
    @inline(__always)
    public func kmem_cache_alloc(_ cache: CacheReference<P>, _ flags: AllocationFlags) -> UnsafeMutableRawPointer? {
        unsafe cache.allocate(flags: flags)
    }

    /// `CacheReference.allocate(flags:)`, cleared.
    /// - Complexity: O(1) from the magazine. Any context, unless the flags let it wait.
    @inline(__always)
    public func kmem_cache_zalloc(_ cache: CacheReference<P>, _ flags: AllocationFlags) -> UnsafeMutableRawPointer? {
        unsafe cache.allocate(flags: flags.union(.zero))
    }

    /// `kmem_cache_alloc` on a node. - Parameter node: 0, the only one, or -1 for any; nil is returned for others.
    /// - Complexity: O(1) from the magazine. Any context, unless the flags let it wait.
    @inline(__always)
    public func kmem_cache_alloc_node(
        _ cache: CacheReference<P>, _ flags: AllocationFlags, _ node: Int
    ) -> UnsafeMutableRawPointer? {
        isNode(node) ? unsafe cache.allocate(flags: flags) : nil
    }

    /// `CacheReference.free(_:)`.
    /// - Complexity: O(1) into the magazine. Any context.
    @inline(__always)
    public func kmem_cache_free(_ cache: CacheReference<P>, _ object: UnsafeMutableRawPointer?) {
        unsafe cache.free(object)
    }

    /// `CacheReference.allocate(_:into:flags:)`. - Returns: `count`, or 0.
    /// - Complexity: O(count). Any context, unless the flags let it wait.
    @inline(__always)
    public func kmem_cache_alloc_bulk(
        _ cache: CacheReference<P>, _ flags: AllocationFlags, _ count: Int,
        _ objects: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    ) -> Int {
        unsafe cache.allocate(count, into: objects, flags: flags) ? count : 0
    }

    /// `CacheReference.free(_:count:)`.
    /// - Complexity: O(count). Any context.
    @inline(__always)
    public func kmem_cache_free_bulk(
        _ cache: CacheReference<P>, _ count: Int, _ objects: UnsafePointer<UnsafeMutableRawPointer?>
    ) {
        unsafe cache.free(objects, count: count)
    }

    /// `CacheReference.shrink()`. - Returns: 0.
    /// - Complexity: as `CacheReference.shrink()`. Any context.
    @discardableResult
    public func kmem_cache_shrink(_ cache: CacheReference<P>) -> Int {
        cache.shrink()
        return 0
    }

    /// `CacheReference.objectSize`.
    /// - Complexity: O(1). Any context.
    public func kmem_cache_size(_ cache: CacheReference<P>) -> UInt { cache.objectSize }

    /// Whether there is such a node of memory: there is one, and -1 (`NUMA_NO_NODE`) leaves the choice.
    @inline(__always)
    func isNode(_ node: Int) -> Bool { node == 0 || node == -1 }
}
