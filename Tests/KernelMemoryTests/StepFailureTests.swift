import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Slab
import Testing
import VirtualMemory

@testable import KernelMemory

/// Every call of the slab floor that takes several steps, with each of them failing in turn: each request for page frames,
/// and each allocation of an object, on machines that watch their objects in different ways.
@Suite struct StepFailureTests {
    typealias Pool = MemoryPool<SimulatedPlatform>

    /// What the machine does beside allocating.
    enum Watching: CaseIterable {
        case nothing, tracesAndQuarantine, everything, leaks
    }

    private func machine(_ watching: Watching, _ failing: Failing) throws -> KernelMachine {
        var configuration = Configuration()
        if failing == .objects { configuration.slab.failures = FailurePlan() }
        switch watching {
        case .nothing: break
        case .tracesAndQuarantine:
            configuration.slab.debugging = DebugSelection(Self.letters("U")) { _ in }
            configuration.slab.quarantineByteCount = 1 << 16
        case .everything: configuration.slab.debugging = DebugSelection(nil) { _ in }
        case .leaks: configuration.findsLeaks = true
        }
        return try KernelMachine(.pc(bytes: 32 << 20), configuration)
    }

    private static func letters(_ text: StaticString) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    /// An object that grows. Where that fails the old one is as it was.
    private func growing(_ machine: KernelMachine, _ failing: Failing, _ old: UInt, _ new: UInt, _ array: Bool) throws {
        let kmalloc = machine.memory.value.kmalloc
        func isIntact(_ object: UnsafeMutableRawPointer) -> Bool {
            UnsafeRawBufferPointer(start: object, count: Int(old)).allSatisfy { $0 == 0x3c }
        }
        let made = try machine.failEach(failing) {
            guard let object = machine.kmalloc(old) else { return nil }
            object.initializeMemory(as: UInt8.self, repeating: 0x3c, count: Int(old))
            let grown =
                array
                ? kmalloc.value.krealloc_array(object, new / 8, 8, .kernel)
                : kmalloc.value.krealloc(object, new, .kernel | .zero)
            #expect(isIntact(grown ?? object))
            if let grown { return { machine.kfree(grown) } }
            machine.kfree(object)
            return nil
        }
        let objects = [old, new].count { $0 <= 8192 }
        #expect(failing == .objects ? made == objects : made >= 2)
    }

    @Test(arguments: Watching.allCases, [Failing.frames, .objects])
    func reallocation(watching: Watching, failing: Failing) throws {
        let machine = try machine(watching, failing)
        for (old, new) in [(8, 24), (96, 4096), (8192, 20_000), (20_000, 400_000)] as [(UInt, UInt)] {
            for array in [false, true] { try growing(machine, failing, old, new, array) }
        }
    }

    @Test(arguments: Watching.allCases, [Failing.frames, .objects])
    func copies(watching: Watching, failing: Failing) throws {
        let machine = try machine(watching, failing)
        let kmalloc = machine.memory.value.kmalloc
        for size in [7, 300, 8192, 50_000] {
            let text = String(repeating: "q", count: size - 1)
            for duplicates in [false, true] {
                let made = try machine.failEach(failing) {
                    let copy = text.withCString { string in
                        duplicates
                            ? UnsafeMutableRawPointer(kmalloc.value.kstrdup(string, .kernel))
                            : kmalloc.value.kmemdup(string, UInt(size), .kernel)
                    }
                    guard let copy else { return nil }
                    #expect(copy.load(fromByteOffset: size - 2, as: UInt8.self) == UInt8(ascii: "q"))
                    return { machine.kfree(copy) }
                }
                #expect(made >= (failing == .objects && size > 8192 ? 0 : 1))
            }
        }
    }

    /// Where kmalloc has nothing in a row vmalloc may have.
    @Test(arguments: Watching.allCases, [Failing.frames, .objects])
    func fromEitherAllocator(watching: Watching, failing: Failing) throws {
        let machine = try machine(watching, failing)
        let vmalloc = machine.memory.value.vmalloc
        for size in [100, 20_000, 5 << 20] as [UInt] {
            for clears in [false, true] {
                let made = try machine.failEach(failing, mayDoWithout: true) {
                    let address = clears ? vmalloc.value.kvzalloc(size) : vmalloc.value.kvmalloc(size)
                    return address.map { address in { vmalloc.value.kvfree(address) } }
                }
                #expect(made >= (failing == .objects && size == 20_000 ? 0 : 1))
            }
        }
    }

    @Test(arguments: Watching.allCases, [Failing.frames, .objects])
    func largeBlocks(watching: Watching, failing: Failing) throws {
        let machine = try machine(watching, failing)
        for (size, flags) in [(8193, .kernel), (1 << 20, .dma), (100_000, .kernel | .zero)] as [(UInt, AllocationFlags)]
        {
            let made = try machine.failEach(failing) {
                machine.kmalloc(size, flags).map { pointer in { machine.kfree(pointer) } }
            }
            #expect(made == (failing == .frames ? 1 : 0), "a block is no object")
        }
    }

    private static let cacheFlags: [CacheFlags] = [
        .none, .hardwareCacheAlign, .panic, .poison, .redZone, .storeUser, .consistencyChecks, .trace, .reclaimable,
        .noMerge, .typesafe, .dma, .noLeakTrace, .failslab, .poison | .redZone | .storeUser | .panic,
    ]

    /// A cache, and its first object.
    @Test(arguments: Watching.allCases, [Failing.frames, .objects])
    func caches(watching: Watching, failing: Failing) throws {
        let machine = try machine(watching, failing)
        let kmalloc = machine.memory.value.kmalloc
        for flags in Self.cacheFlags {
            for isConstructed in flags == .none ? [false, true] : [false] {
                let made = try machine.failEach(failing) {
                    let constructor: ObjectConstructor? =
                        isConstructed ? { $0.storeBytes(of: 1, as: UInt64.self) } : nil
                    guard let cache = kmalloc.value.kmem_cache_create("steps", 712, 0, flags, constructor) else {
                        // Whoever must have the cache is told that there is none.
                        let kinds = machine.machine.takeViolations().map(\.kind)
                        #expect(kinds == (flags.contains(.panic) ? [.missingCache] : []))
                        return nil
                    }
                    let object = cache.allocate()
                    if isConstructed { #expect(object?.load(as: UInt64.self) ?? 1 == 1) }
                    let end = {
                        cache.free(object)
                        let isGone = kmalloc.value.destroyCache(cache)
                        #expect(isGone)
                    }
                    if object != nil { return end }
                    end()
                    return nil
                }
                #expect(made >= 1, "\(flags)")
                _ = machine.machine.takeTracedObjects()
            }
        }
    }

    /// Many objects or none, with many slabs and the pages that their headers fill.
    @Test(arguments: Watching.allCases, [Failing.frames, .objects])
    func manyObjects(watching: Watching, failing: Failing) throws {
        let machine = try machine(watching, failing)
        let kmalloc = machine.memory.value.kmalloc
        for (size, count) in [(64, 40), (32768, 100)] as [(UInt, Int)] {
            let created = machine.run { kmalloc.value.kmem_cache_create("many", size, 0, .noMerge, nil) }
            let cache = try #require(created)
            let room = UnsafeMutablePointer<UnsafeMutableRawPointer?>.allocate(capacity: count)
            room.initialize(repeating: nil, count: count)
            defer { room.deallocate() }
            let before = machine.run { kmalloc.value.headerFigures.pages }
            let made = try machine.failEach(failing) {
                guard kmalloc.value.kmem_cache_alloc_bulk(cache, .kernel, count, room) == count else { return nil }
                let pages = kmalloc.value.headerFigures.pages
                #expect(size == 64 || pages > before + 1, "headers fill a page")
                return { kmalloc.value.kmem_cache_free_bulk(cache, count, room) }
            }
            #expect(failing == .objects ? made == count : made >= (size == 64 ? 1 : count))
            let isGone = machine.run { kmalloc.value.destroyCache(cache) }
            #expect(isGone)
        }
    }

    @Test(arguments: Watching.allCases, [Failing.frames, .objects])
    func pools(watching: Watching, failing: Failing) throws {
        let machine = try machine(watching, failing)
        let kmalloc = machine.memory.value.kmalloc
        let created = machine.run { kmalloc.value.kmem_cache_create("pool", 120, 0, .noMerge, nil) }
        let cache = try #require(created)
        let kinds: [(Int) -> PoolBox?] = [
            { PoolBox(Pool.mempool_create_slab_pool($0, cache, in: kmalloc)) },
            { PoolBox(Pool.mempool_create_kmalloc_pool($0, 700, in: kmalloc)) },
            { PoolBox(Pool.mempool_create_kmalloc_pool($0, 20_000, in: kmalloc)) },
            { PoolBox(Pool.mempool_create_page_pool($0, 0, in: kmalloc)) },
            { PoolBox(Pool.mempool_create_page_pool($0, 3, in: kmalloc)) },
        ]
        for (index, make) in kinds.enumerated() {
            let made = try machine.failEach(failing) { ending(make(6)) }
            let elements = failing == .objects && index > 1 ? 0 : index > 1 ? 6 : 1
            #expect(made >= elements + (failing == .objects ? 2 : 1))
            var pool = machine.run { make(3) }
            let resized = try machine.failEach(failing) {
                if pool?.resize(to: 40) == true { return { _ = pool?.resize(to: 3) } }
                #expect(pool?.minimum == 3 && pool?.reserved == 3)
                return nil
            }
            #expect(resized >= 1)
            machine.run { pool = nil }
        }
        let isGone = machine.run { kmalloc.value.destroyCache(cache) }
        #expect(isGone)
    }

    /// What ends a pool that nobody else knows; nil for no pool.
    private func ending(_ pool: consuming PoolBox?) -> (() -> Void)? {
        var kept = pool
        return kept == nil ? nil : { kept = nil }
    }

    private struct Large: ~Copyable {
        var words = InlineArray<60, UInt64>(repeating: 7)
    }

    /// A typed cache, and values in it.
    @Test(arguments: Watching.allCases, [Failing.frames, .objects])
    func values(watching: Watching, failing: Failing) throws {
        let machine = try machine(watching, failing)
        let kmalloc = machine.memory.value.kmalloc
        let made = try machine.failEach(failing) {
            guard let cache = try? ObjectCache<Large, SimulatedPlatform>("values", in: kmalloc) else { return nil }
            guard let first = cache.make({ Large() }), let second = cache.make({ Large() }) else { return nil }
            #expect(first.value.words[59] == 7 && second.value.words[0] == 7)
            // Both end here, before the cache does.
            return {}
        }
        #expect(made >= 1)
    }

    /// An object that would be guarded comes from its slab when the pool is full, and that can fail. (Nothing else is
    /// asked of kmalloc here: the host reaches guarded objects by the simulated CPU only.)
    @Test(arguments: [Failing.frames, .objects])
    func guardedObjects(failing: Failing) throws {
        var configuration = Configuration()
        configuration.slab.sampleInterval = 1
        configuration.slab.guardedObjectCount = 3
        if failing == .objects { configuration.slab.failures = FailurePlan() }
        let machine = try KernelMachine(.pc(bytes: 32 << 20), configuration)
        for flags in [AllocationFlags.kernel, .kernel | .zero] {
            let made = try machine.failEach(failing) {
                var objects: [UnsafeMutableRawPointer] = []
                while objects.count < 6, let object = machine.kmalloc(3000, flags) { objects.append(object) }
                let end = { for object in objects { machine.kfree(object) } }
                if objects.count == 6 { return end }
                end()
                return nil
            }
            #expect(failing == .objects ? made == 6 : made >= 1)
        }
    }
}

/// A pool that can be handed around. It ends with the last that knows it.
private final class PoolBox {
    private let pool: StepFailureTests.Pool

    /// nil for no pool.
    init?(_ pool: consuming StepFailureTests.Pool?) {
        guard let pool = consume pool else { return nil }
        self.pool = consume pool
    }

    func resize(to minimum: Int) -> Bool { pool.mempool_resize(minimum) }
    var minimum: Int { pool.minimum }
    var reserved: Int { pool.reserved }
}
