import MemoryPrimitives
import PageFrames
import SimulatedMachine

@testable import Slab

typealias TestedCache = CacheReference<SimulatedPlatform>

// The calls on caches, as `KmallocHandle` passes on the others.
extension KmallocHandle {
    func makeCache(
        _ name: StaticString, _ size: UInt, alignment: UInt = 0, _ flags: CacheFlags = .none,
        _ constructor: ObjectConstructor? = nil
    ) throws -> TestedCache {
        try target.value.makeCache(
            name, objectSize: size, alignment: alignment, flags: flags, constructor: constructor)
    }
    func makeCache(_ size: UInt, alignment: UInt = 0, _ flags: CacheFlags = .none) throws -> TestedCache {
        try makeCache("test", size, alignment: alignment, flags)
    }
    func kmem_cache_create(
        _ name: StaticString, _ size: UInt, _ align: UInt, _ flags: CacheFlags, _ ctor: ObjectConstructor?
    ) -> TestedCache? {
        target.value.kmem_cache_create(name, size, align, flags, ctor)
    }
    @discardableResult
    func destroyCache(_ cache: TestedCache?) -> Bool { target.value.destroyCache(cache) }
    func kmem_cache_zalloc(_ cache: TestedCache, _ flags: AllocationFlags) -> Pointer? {
        target.value.kmem_cache_zalloc(cache, flags)
    }
    func kmem_cache_alloc_node(_ cache: TestedCache, _ flags: AllocationFlags, _ node: Int) -> Pointer? {
        target.value.kmem_cache_alloc_node(cache, flags, node)
    }
    var cacheCount: Int { target.value.cacheCount }

    func kmalloc_size_roundup(_ size: UInt) -> UInt { target.value.kmalloc_size_roundup(size) }
    func krealloc_array(_ pointer: Pointer?, _ n: UInt, _ size: UInt) -> Pointer? {
        target.value.krealloc_array(pointer, n, size, .kernel)
    }
    func kmalloc_node(_ size: UInt, _ node: Int) -> Pointer? { target.value.kmalloc_node(size, .kernel, node) }
    func kzalloc_node(_ size: UInt, _ node: Int) -> Pointer? { target.value.kzalloc_node(size, .kernel, node) }
    func kmemdup(_ source: UnsafeRawPointer, _ size: UInt) -> Pointer? { target.value.kmemdup(source, size, .kernel) }
    func kstrdup(_ string: UnsafePointer<CChar>?) -> UnsafeMutablePointer<CChar>? {
        target.value.kstrdup(string, .kernel)
    }
    func kstrndup(_ string: UnsafePointer<CChar>?, _ most: UInt) -> UnsafeMutablePointer<CChar>? {
        target.value.kstrndup(string, most, .kernel)
    }
    func kfree_sensitive(_ pointer: Pointer?) { target.value.kfree_sensitive(pointer) }
    func count(for flags: AllocationFlags) -> UInt { target.value.count(for: flags) }
    func scan(_ frames: UInt, for flags: AllocationFlags) -> UInt { target.value.scan(frames, for: flags) }
}

extension TestedCache {
    /// Several objects, or nil.
    func allocateAll(_ count: Int, flags: AllocationFlags = .kernel) -> [UnsafeMutableRawPointer]? {
        var objects = [UnsafeMutableRawPointer?](repeating: nil, count: count)
        guard objects.withUnsafeMutableBufferPointer({ allocate(count, into: $0.baseAddress!, flags: flags) }) else {
            return nil
        }
        return objects.map { $0! }
    }

    func freeAll(_ objects: [UnsafeMutableRawPointer?]) {
        objects.withUnsafeBufferPointer { free($0.baseAddress!, count: objects.count) }
    }
}
