/// The calls of a cache of objects of one size, as SlabCalls.swift is to give them: one line each.
///
/// A value stands for a cache, which stays until `destroy()`.
protocol MeasuredCache {
    /// `kmem_cache_create`. - Returns: nil where it fails.
    static func create(byteCount: UInt) -> Self?

    /// `kmem_cache_destroy`.
    func destroy()

    /// `kmem_cache_alloc`. - Returns: an object's address; nil or 0 where it fails.
    func allocate() -> UInt?

    /// `kmem_cache_zalloc`.
    func allocateZeroed() -> UInt?

    /// `kmem_cache_free`.
    func free(_ object: UInt)

    /// `kmem_cache_alloc_bulk`, for `count` objects, whose addresses it writes to `room`. - Returns: how many it got.
    func allocate(_ count: Int, into room: UInt) -> Int

    /// `kmem_cache_free_bulk`, for the objects whose addresses are at `room`.
    func free(_ count: Int, at room: UInt)

    /// The cache, as a number that `init(identifier:)` takes.
    var identifier: UInt { get }

    init(identifier: UInt)
}

/// The rows of caches.
enum CacheBenchmarks<Cache: MeasuredCache> {
    static func run(_ runner: BenchmarkRunner) {
        rows("kmem_cache 64", 64, runner)
        rows("kmem_cache 256", 256, runner)
        with(byteCount: 256) { cache in runner.hot("kmem_cache_zalloc 256", ZeroedObjects(cache: cache)) }
        with(byteCount: 64) { cache in
            runner.loop("kmem_cache 64", Objects(cache: cache))
            let room = runner.storage.roomAddress
            runner.single("kmem_cache_alloc_bulk 64 x16 (whole call)", BulkAllocation(cache: cache, room: room))
            runner.single("kmem_cache_free_bulk 64 x16 (whole call)", BulkFree(cache: cache, room: room))
        }
        runner.single("kmem_cache_create(200)", Creation())
        runner.single("kmem_cache_destroy(200)", Destruction())
    }

    private static func rows(_ name: StaticString, _ byteCount: UInt, _ runner: BenchmarkRunner) {
        with(byteCount: byteCount) { cache in
            let objects = Objects(cache: cache)
            runner.hot(name, objects)
            runner.batches(name, objects, count: 1000)
            runner.batches(name, objects, count: 10_000)
        }
    }

    private static func with(byteCount: UInt, _ body: (Cache) -> Void) {
        guard let cache = Cache.create(byteCount: byteCount) else {
            FatalReport.panic("benchmark kmem_cache_create: an allocation failed", .outOfMemory)
        }
        body(cache)
        cache.destroy()
    }

    private struct Objects: Benchmark {
        let cache: Cache

        @inline(__always)
        func allocate() -> UInt? { cache.allocate() }

        @inline(__always)
        func free(_ object: UInt) { cache.free(object) }
    }

    private struct ZeroedObjects: Benchmark {
        let cache: Cache

        @inline(__always)
        func allocate() -> UInt? { cache.allocateZeroed() }

        @inline(__always)
        func free(_ object: UInt) { cache.free(object) }
    }

    private struct BulkAllocation: SingleCall {
        let cache: Cache
        let room: UInt

        func prepare() -> UInt? { room }

        @inline(__always)
        func call(_ room: UInt) -> UInt? { cache.allocate(16, into: room) == 16 ? room : nil }

        func finish(_ room: UInt, _ result: UInt) { cache.free(16, at: room) }
    }

    private struct BulkFree: SingleCall {
        let cache: Cache
        let room: UInt

        func prepare() -> UInt? { cache.allocate(16, into: room) == 16 ? room : nil }

        @inline(__always)
        func call(_ room: UInt) -> UInt? {
            cache.free(16, at: room)
            return room
        }

        func finish(_ room: UInt, _ result: UInt) {}
    }

    private struct Creation: SingleCall {
        func prepare() -> UInt? { 1 }

        @inline(__always)
        func call(_ block: UInt) -> UInt? { Cache.create(byteCount: 200)?.identifier }

        func finish(_ block: UInt, _ cache: UInt) { Cache(identifier: cache).destroy() }
    }

    private struct Destruction: SingleCall {
        func prepare() -> UInt? { Cache.create(byteCount: 200)?.identifier }

        @inline(__always)
        func call(_ cache: UInt) -> UInt? {
            Cache(identifier: cache).destroy()
            return cache
        }

        func finish(_ cache: UInt, _ result: UInt) {}
    }
}
