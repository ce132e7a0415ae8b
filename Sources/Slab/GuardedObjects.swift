import MemoryPrimitives

/// What a pool of guarded objects is asked for.
public struct GuardedRequest: Sendable {
    /// Bytes of the object, at most a page.
    public var byteCount: UInt
    /// What its address must be a multiple of: a power of two, at most a page.
    public var alignment: UInt
    /// The cache that the object belongs to.
    public var cacheName: CacheName
    /// The address of that cache, which stays as long as the object is allocated; 0 for none.
    public var cache: UInt
    /// Whether the object is to be zeroed; else its contents are what an earlier one left.
    public var clears = false
    /// Whether the object is to be zeroed when it is freed, too.
    public var clearsWhenFreed = false
    /// Who asked.
    public var trace = StackTrace()

    /// A request for an object of the cache at address `cache`; 0 for memory of kmalloc.
    public init(byteCount: UInt, alignment: UInt, cacheName: CacheName, cache: UInt = 0) {
        self.byteCount = byteCount
        self.alignment = alignment
        self.cacheName = cacheName
        self.cache = cache
    }
}

/// How kmalloc reaches a pool of guarded objects, which stands on a floor that knows page tables.
///
/// The closures capture nothing: all that they need is `pool`.
@safe
public struct GuardedObjectCalls: @unchecked Sendable {
    /// The pool, which stays for good.
    var pool: UnsafeRawPointer
    /// The addresses that objects of the pool have, and nothing else.
    var range: VirtualRange
    /// An object; nil where there is none left.
    var allocate: (UnsafeRawPointer, GuardedRequest) -> UInt?
    /// Takes back an object of a cache, of any for 0, or reports why not; returns the cache that the object belonged to, 0
    /// where nothing was taken back.
    var free: (UnsafeRawPointer, UInt, UInt, StaticString) -> UInt
    /// The bytes of an allocated object that starts at an address; nil after a report where none does.
    var byteCount: (UnsafeRawPointer, UInt, StaticString) -> UInt?
    /// The first allocated object of a cache above an address; nil where there is none.
    var nextObject: (UnsafeRawPointer, UInt, UInt) -> UInt?
    /// The physical address of a part of an allocated object, by its first byte and its size; nil for anything else.
    var memory: (UnsafeRawPointer, UInt, UInt) -> PhysicalAddress?

    /// The calls of a pool whose type is not known here. Each closure gets `pool` first.
    /// - Parameters:
    ///   - pool: what the closures are given; never given back.
    ///   - range: where all of the pool's objects lie.
    ///   - allocate: hands out an object.
    ///   - free: takes back an object of a cache.
    ///   - byteCount: answers an object's size.
    ///   - nextObject: answers the next object of a cache.
    ///   - memory: answers where a part of an object is in memory.
    @unsafe
    public init(
        pool: UnsafeRawPointer, range: VirtualRange,
        allocate: @escaping (UnsafeRawPointer, GuardedRequest) -> UInt?,
        free: @escaping (UnsafeRawPointer, UInt, UInt, StaticString) -> UInt,
        byteCount: @escaping (UnsafeRawPointer, UInt, StaticString) -> UInt?,
        nextObject: @escaping (UnsafeRawPointer, UInt, UInt) -> UInt?,
        memory: @escaping (UnsafeRawPointer, UInt, UInt) -> PhysicalAddress?
    ) {
        unsafe self.pool = pool
        self.range = range
        unsafe self.allocate = allocate
        unsafe self.free = free
        unsafe self.byteCount = byteCount
        unsafe self.nextObject = nextObject
        unsafe self.memory = memory
    }
}
