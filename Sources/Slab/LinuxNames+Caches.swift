import MemoryPrimitives
import PageFrames

// Linux's names for the calls on caches.
extension Kmalloc {
    /// `makeCache(_:objectSize:alignment:flags:constructor:)`. - Returns: nil where that throws.
    public func kmem_cache_create(
        _ name: StaticString, _ size: UInt, _ align: UInt, _ flags: CacheFlags, _ ctor: ObjectConstructor?
    ) -> CacheReference<P>? {
        unsafe try? makeCache(name, objectSize: size, alignment: align, flags: flags, constructor: ctor)
    }

    /// `destroyCache(_:)`.
    public func kmem_cache_destroy(_ cache: CacheReference<P>?) { destroyCache(cache) }

    /// `CacheReference.allocate(flags:)`.
    @inline(__always)
    public func kmem_cache_alloc(_ cache: CacheReference<P>, _ flags: AllocationFlags) -> UnsafeMutableRawPointer? {
        unsafe cache.allocate(flags: flags)
    }

    /// `CacheReference.allocate(flags:)`, cleared.
    @inline(__always)
    public func kmem_cache_zalloc(_ cache: CacheReference<P>, _ flags: AllocationFlags) -> UnsafeMutableRawPointer? {
        unsafe cache.allocate(flags: flags.union(.zero))
    }

    /// `kmem_cache_alloc` on a node. - Parameter node: 0, the only one, or -1 for any; nil is returned for others.
    @inline(__always)
    public func kmem_cache_alloc_node(
        _ cache: CacheReference<P>, _ flags: AllocationFlags, _ node: Int
    ) -> UnsafeMutableRawPointer? {
        isNode(node) ? unsafe cache.allocate(flags: flags) : nil
    }

    /// `CacheReference.free(_:)`.
    @inline(__always)
    public func kmem_cache_free(_ cache: CacheReference<P>, _ object: UnsafeMutableRawPointer?) {
        unsafe cache.free(object)
    }

    /// `CacheReference.allocate(_:into:flags:)`. - Returns: `count`, or 0.
    @inline(__always)
    public func kmem_cache_alloc_bulk(
        _ cache: CacheReference<P>, _ flags: AllocationFlags, _ count: Int,
        _ objects: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    ) -> Int {
        unsafe cache.allocate(count, into: objects, flags: flags) ? count : 0
    }

    /// `CacheReference.free(_:count:)`.
    @inline(__always)
    public func kmem_cache_free_bulk(
        _ cache: CacheReference<P>, _ count: Int, _ objects: UnsafePointer<UnsafeMutableRawPointer?>
    ) {
        unsafe cache.free(objects, count: count)
    }

    /// `CacheReference.shrink()`. - Returns: 0.
    @discardableResult
    public func kmem_cache_shrink(_ cache: CacheReference<P>) -> Int {
        cache.shrink()
        return 0
    }

    /// `CacheReference.objectSize`.
    public func kmem_cache_size(_ cache: CacheReference<P>) -> UInt { cache.objectSize }

    /// Whether there is such a node of memory: there is one, and -1 (`NUMA_NO_NODE`) leaves the choice.
    @inline(__always)
    func isNode(_ node: Int) -> Bool { node == 0 || node == -1 }
}
