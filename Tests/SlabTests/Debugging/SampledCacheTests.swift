import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

/// Pages of the host in place of a pool of guarded objects, so that what kmalloc asks of one can be seen.
private final class PagePool {
    struct Page {
        var object: UInt = 0
        var cache: UInt = 0
    }

    private(set) var requests: [GuardedRequest] = []
    private(set) var refusedFrees = 0
    private var pages = [Page](repeating: Page(), count: 32)
    private let memory = UnsafeMutableRawPointer.allocate(byteCount: 32 * 4096, alignment: 4096)

    deinit { memory.deallocate() }

    var liveCount: Int { pages.count { $0.object != 0 } }

    func contains(_ object: UnsafeMutableRawPointer?) -> Bool {
        object.map { range.contains(VirtualAddress($0)) } ?? false
    }

    var range: VirtualRange { VirtualRange(VirtualAddress(memory), VirtualAddress(memory) + 32 * 4096) }

    private func allocate(_ request: GuardedRequest) -> UInt? {
        guard let index = pages.firstIndex(where: { $0.object == 0 }) else { return nil }
        requests.append(request)
        let page = memory + index * 4096
        // What lies behind the object must stay as it is.
        page.initializeMemory(as: UInt8.self, repeating: 0xee, count: 4096)
        if request.clears { page.initializeMemory(as: UInt8.self, repeating: 0, count: Int(request.byteCount)) }
        pages[index] = Page(object: UInt(bitPattern: page), cache: request.cache)
        return pages[index].object
    }

    private func free(_ address: UInt, _ cache: UInt) -> UInt {
        guard let index = pages.firstIndex(where: { $0.object == address }), cache == 0 || pages[index].cache == cache
        else {
            refusedFrees += 1
            return 0
        }
        defer { pages[index] = Page() }
        return pages[index].cache
    }

    private func next(of cache: UInt, after address: UInt) -> UInt? {
        pages.first { $0.object > address && $0.cache == cache }?.object
    }

    private static func at(_ pointer: UnsafeRawPointer) -> PagePool {
        Unmanaged<PagePool>.fromOpaque(pointer).takeUnretainedValue()
    }

    var calls: GuardedObjectCalls {
        GuardedObjectCalls(
            pool: UnsafeRawPointer(Unmanaged.passUnretained(self).toOpaque()), range: range,
            allocate: { PagePool.at($0).allocate($1) },
            free: { pool, address, cache, _ in PagePool.at(pool).free(address, cache) },
            byteCount: { _, _, _ in nil }, nextObject: { PagePool.at($0).next(of: $1, after: $2) },
            memory: { _, _, _ in nil })
    }
}

/// With sampling on, objects of caches that users make are guarded as kmalloc's are (`kfence.sample_interval=`).
@Suite struct SampledCacheTests {
    private let machine: TestMachine
    private let pool = PagePool()

    init() {
        var options = SlabOptions()
        options.sampleInterval = 1
        machine = TestMachine(slabOptions: options)
        start()
    }

    private func start() {
        machine.run { machine.kmalloc.target.value.startSampling(to: pool.calls, every: 1) }
    }

    private func make(
        _ name: StaticString = "sampled", _ size: UInt = 100, alignment: UInt = 0, _ flags: CacheFlags = .noMerge,
        _ constructor: ObjectConstructor? = nil
    ) throws -> CacheReference<SimulatedPlatform> {
        try machine.run {
            try machine.kmalloc.target.value.makeCache(
                name, objectSize: size, alignment: alignment, flags: flags, constructor: constructor)
        }
    }

    private func destroy(_ cache: CacheReference<SimulatedPlatform>) -> Bool {
        machine.run { machine.kmalloc.target.value.destroyCache(cache) }
    }

    private func kinds() -> [MemoryViolation.Kind] { machine.machine.takeViolations().map(\.kind) }

    private func figures(_ cache: CacheReference<SimulatedPlatform>) -> SlabCacheStatistics {
        machine.run { cache.statistics }
    }

    private func isWatched(_ cache: CacheReference<SimulatedPlatform>) -> Bool { cache.cache.value.isWatched }

    private func check() throws { try machine.run { try machine.kmalloc.target.value.checkInvariants() } }

    /// The pool is asked for the bytes that the maker asked for, at the alignment that slabs give.
    @Test func objectsOfACacheAreGuarded() throws {
        let cache = try make("sampled", 100, alignment: 8)
        let lined = try make("lined", 100, alignment: 64)
        let objects = machine.run { (cache.allocate(), lined.allocate()) }
        #expect(pool.contains(objects.0) && pool.contains(objects.1))
        #expect(pool.requests.map(\.byteCount) == [100, 100])
        #expect(pool.requests.map(\.alignment) == [8, 128])
        #expect(pool.requests.map(\.cache) == [cache.identifier, lined.identifier])
        machine.run {
            cache.free(objects.0); lined.free(objects.1)
        }
        #expect(pool.liveCount == 0 && pool.refusedFrees == 0 && kinds() == [])
        try check()
        #expect(destroy(cache) && destroy(lined))
    }

    /// Objects that a constructor set up, whose memory keeps its type or place, or that are above a page come from slabs.
    @Test func whatWouldNotDoIsNotGuarded() throws {
        let caches = [
            try make("constructed", 64, .noMerge) { _ in }, try make("typed", 64, .typesafe),
            try make("placed", 64, .dma | .noMerge), try make("large", 4104),
            try make("wide", 64, alignment: 8192),
        ]
        for cache in caches {
            let object = machine.run { cache.allocate() }
            #expect(object != nil && !pool.contains(object))
            // Nothing is paid either.
            #expect(!isWatched(cache))
            machine.run { cache.free(object) }
            #expect(destroy(cache))
        }
        #expect(pool.requests.isEmpty)
        let page = try make("page", 4096)
        machine.run { page.free(page.allocate()) }
        #expect(pool.requests.count == 1)
        #expect(destroy(page) && kinds() == [])
        try check()
    }

    /// Without sampling a cache is as it was.
    @Test func nothingIsWatchedUnlessAskedFor() throws {
        let plain = TestMachine()
        let cache = try plain.run { try plain.kmalloc.target.value.makeCache("plain", objectSize: 64) }
        #expect(!isWatched(cache) && !cache.flags.contains(.sampled))
    }

    /// Each maker of a shared cache has objects as large as the largest that any of them asked for.
    @Test func sharedCachesAreSampledAlike() throws {
        let first = try make("first", 97, .none)
        let second = try make("second", 104, .none)
        let constructed = try make("third", 104, .none) { _ in }
        #expect(first == second && first != constructed)
        let object = try #require(machine.run { second.allocate(flags: .kernel | .zero) })
        #expect(pool.contains(object) && pool.requests.last?.byteCount == 104)
        #expect(destroy(first))
        // The other still has it.
        machine.run { second.free(object) }
        #expect(destroy(second) && destroy(constructed) && kinds() == [])
        try check()
    }

    /// All or nothing, cleared where that is asked for but no further than an object goes, and given back in any order.
    @Test func bulkCalls() throws {
        let cache = try make("bulk", 100)
        var objects = [UnsafeMutableRawPointer?](repeating: nil, count: 50)
        #expect(machine.run { cache.allocate(50, into: &objects, flags: .kernel | .zero) })
        #expect(objects.count { pool.contains($0) } == 32 && Set(objects).count == 50)
        for object in objects {
            let object = try #require(object)
            #expect(object.bytes(0..<100).allSatisfy { $0 == 0 })
            if pool.contains(object) { #expect(object.bytes(100..<108).allSatisfy { $0 == 0xee }) }
        }
        #expect(figures(cache).guardedObjects == 32 && figures(cache).activeObjects == 18)
        objects.shuffle()
        machine.run { cache.free(objects, count: 50) }
        #expect(pool.liveCount == 0 && kinds() == [])
        #expect(figures(cache).guardedObjects == 0 && figures(cache).activeObjects == 0)
        try check()
        #expect(destroy(cache))
    }

    /// Where a bulk call runs out of memory, the guarded objects go back, too.
    @Test func aBulkCallThatFailsGivesGuardedObjectsBack() throws {
        let cache = try make("bulk", 4096)
        let taken = machine.run { machine.exhaust() }
        var objects = [UnsafeMutableRawPointer?](repeating: nil, count: 50)
        #expect(!machine.run { cache.allocate(50, into: &objects, flags: .kernel | .noWarn) })
        #expect(pool.requests.count == 32 && pool.liveCount == 0 && figures(cache).guardedObjects == 0)
        machine.run { machine.giveBack(taken) }
        #expect(destroy(cache) && kinds() == [])
        try check()
    }

    /// The pool is told which cache an object has to be of; `kfree` takes any cache's, as from slabs.
    @Test func freesThroughOtherCalls() throws {
        let cache = try make("one")
        let other = try make("two")
        let object = machine.run { cache.allocate() }
        machine.run { other.free(object) }
        #expect(pool.refusedFrees == 1 && pool.liveCount == 1)
        #expect(figures(cache).guardedObjects == 1 && figures(other).guardedObjects == 0)
        machine.run { machine.kmalloc.target.value.free(object) }
        #expect(pool.refusedFrees == 1 && pool.liveCount == 0 && figures(cache).guardedObjects == 0)
        // kmalloc's objects are no users' cache's.
        let own = machine.run { machine.kmalloc.target.value.allocate(100) }
        machine.run { cache.free(own) }
        #expect(pool.refusedFrees == 2)
        machine.run { machine.kmalloc.target.value.free(own) }
        #expect(destroy(cache) && destroy(other) && pool.liveCount == 0)
        try check()
    }

    /// A cache with guarded objects stays, each of which is reported, with or without slabs.
    @Test(arguments: [0, 1, 3]) func destroyingACacheWithGuardedObjects(extra: Int) throws {
        let cache = try make("left", 100)
        let objects = machine.run { (0..<3).map { _ in cache.allocate() } }
        let placed = machine.run { (0..<extra).map { _ in cache.allocate(flags: .kernel | .thisNode) } }
        #expect(!destroy(cache))
        var violations = machine.machine.takeViolations()
        if extra > 0 { violations.removeFirst() }
        #expect(violations.map(\.kind) == [.objectInUse, .objectInUse, .objectInUse])
        #expect(violations.map(\.address) == objects.map { UInt(bitPattern: $0) })
        machine.run {
            cache.free(objects[1])
            _ = cache.shrink()
        }
        #expect(figures(cache).guardedObjects == 2 && figures(cache).activeObjects == extra)
        #expect(!destroy(cache) && kinds().count == (extra > 0 ? 3 : 2))
        try check()
        machine.run { for object in [objects[0], objects[2]] + placed { cache.free(object) } }
        #expect(destroy(cache) && kinds() == [] && pool.liveCount == 0)
        try check()
    }

    /// Guarded objects are in no slab: slabinfo shows them no more than Linux's does.
    @Test func guardedObjectsAreNotActive() throws {
        let cache = try make("counted")
        let objects = machine.run { (0..<5).map { _ in cache.allocate() } }
        let figures = figures(cache)
        #expect(figures.guardedObjects == 5 && figures.activeObjects == 0 && figures.totalObjects == 0)
        #expect(figures.slabs == 0)
        machine.run { cache.free(objects, count: 5) }
        #expect(destroy(cache))
    }
}
