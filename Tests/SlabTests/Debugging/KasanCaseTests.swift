import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

/// Cases of Linux's `kasan_test`, under their names there: what red zones, poison and the states of objects see of them.
/// Reads beyond an object's end are for guarded objects (`GuardedAccessTests`).
@Suite struct KasanCaseTests {
    private func machine(_ letters: StaticString? = "FZP") -> TestMachine {
        TestMachine(memory: 8 << 20, slabOptions: SlabOptions(slubDebug: letters))
    }

    /// Writes a byte and expects it to be found, once, at the place where it was written.
    private func expect(
        _ kind: MemoryViolation.Kind, _ test: TestMachine, at place: UnsafeMutableRawPointer,
        _ location: SourceLocation = #_sourceLocation
    ) {
        #expect(test.kmalloc.validate() == 0, sourceLocation: location)
        place[0] ^= 0x78
        #expect(test.kmalloc.validate() == 1, sourceLocation: location)
        let found = test.violations()
        #expect(found.map(\.kind) == [kind] && found.first?.address == place.address, sourceLocation: location)
        #expect(test.kmalloc.validate() == 0, sourceLocation: location)
    }

    /// `krealloc_more_oob`, `krealloc_less_oob`: what was not asked for is out of bounds, in place or moved.
    @Test(
        arguments: [(201, 235), (235, 201), (129, 150), (8000, 8100), (8100, 8000), (60, 64), (64, 60)]
            as [(UInt, UInt)])
    func krealloc_oob(old: UInt, new: UInt) throws {
        let test = machine()
        try test.run {
            let first = try #require(test.kmalloc.allocate(old))
            first.fill(old, seed: 1)
            let second = try #require(test.kmalloc.krealloc(first, new, .kernel))
            #expect(second.isFilled(old, seed: 1, checked: min(old, new)))
            // All of the new bytes may be written.
            second.fill(new, seed: 2)
            #expect(test.kmalloc.validate() == 0)
            expect(.overrun, test, at: second + Int(new))
            expect(.underrun, test, at: second - 1)
            test.kmalloc.free(second)
            #expect(test.violations().isEmpty)
        }
    }

    /// `krealloc_uaf`: nothing comes of it, and the object that was freed is not written.
    @Test(arguments: [(201, 235), (235, 201), (64, 20_000)] as [(UInt, UInt)])
    func krealloc_uaf(old: UInt, new: UInt) throws {
        let test = machine()
        try test.run {
            let object = try #require(test.kmalloc.allocate(old))
            test.kmalloc.free(object)
            let before = test.counters()
            #expect(test.kmalloc.krealloc(object, new, .kernel) == nil)
            #expect(test.kmalloc.krealloc(object, 0, .kernel) == Allocator.ZERO_SIZE_PTR)
            let found = test.violations()
            #expect(found.map(\.kind) == [.doubleFree, .doubleFree])
            #expect(found.map(\.call.description) == ["krealloc", "kfree"])
            #expect(test.counters() == before && test.kmalloc.validate() == 0)
            expect(.writeAfterFree, test, at: object)
        }
    }

    /// `kmalloc_double_kzfree`: the second does not clear what is free, nor what is somebody else's by now.
    @Test(arguments: [16, 8192] as [UInt])
    func kmalloc_double_kzfree(size: UInt) throws {
        let test = machine()
        try test.run {
            let object = try #require(test.kmalloc.allocate(size))
            test.kmalloc.kfree_sensitive(object)
            test.kmalloc.kfree_sensitive(object)
            #expect(test.violations().map(\.kind) == [.doubleFree])
            // The poison is still there.
            #expect(test.kmalloc.validate() == 0)
            test.kmalloc.kfree_sensitive(object + 8)
            #expect(test.violations().map(\.kind) == [.misalignedFree])
            #expect(test.kmalloc.validate() == 0)
        }
    }

    /// `kfree_via_page`, and the other way round: neither allocator takes the other's memory.
    @Test(arguments: [16, 1024, 8192, 16384] as [UInt])
    func kfree_via_page(size: UInt) throws {
        let test = machine(nil)
        try test.run {
            let object = try #require(test.kmalloc.allocate(size))
            object.fill(size, seed: 4)
            let before = test.counters()
            let frame = PageFrameNumber(
                containing: test.directMap.physicalAddress(of: VirtualAddress(object.address)))
            if size <= 8192 {
                for order in 0...3 {
                    test.frames.free(frame, order: order)
                    #expect(test.violations().count == 1)
                }
            }
            #expect(test.counters() == before)
            #expect(object.isFilled(size, seed: 4, checked: size))
            test.kmalloc.free(object)
            let page = try #require(test.frames.allocate(order: 0))
            let free = test.counters()
            test.kmalloc.free(test.directMap.pointer(to: page))
            test.kmalloc.kfree_sensitive(test.directMap.pointer(to: page))
            #expect(test.violations().map(\.kind) == [.wildFree, .wildFree] && test.counters() == free)
            test.frames.free(page, order: 0)
            try test.kmalloc.checkInvariants()
            #expect(test.violations().isEmpty)
        }
    }

    /// `kmem_cache_double_destroy`, also where the slab that the cache was noted down in has gone meanwhile.
    @Test(arguments: [false, true], [CacheFlags.none, .noMerge, .redZone | .poison])
    func kmem_cache_double_destroy(isShrunk: Bool, flags: CacheFlags) throws {
        let test = machine(nil)
        try test.run {
            let before = test.freeFrames
            let cache = try test.kmalloc.makeCache("twice", 200, flags)
            cache.free(cache.allocate())
            #expect(test.kmalloc.destroyCache(cache))
            if isShrunk { test.kmalloc.shrink() }
            #expect(!test.kmalloc.destroyCache(cache))
            #expect(test.violations().map(\.kind) == [isShrunk ? .wildFree : .doubleFree])
            test.kmalloc.shrink()
            #expect(test.freeFrames == before)
            try test.kmalloc.checkInvariants()
        }
    }

    /// `mempool_kmalloc_oob_right` and `mempool_slab_oob_right`: elements are whole objects.
    @Test(arguments: [PoolKind.small, .odd, .cache])
    func mempool_oob_right(kind: PoolKind) throws {
        let test = machine()
        try test.run {
            let cache = try test.kmalloc.makeCache("pool", 120, .noMerge)
            let pool = try kind.make(4, on: test, cache)
            let element = try #require(pool.allocate())
            let size = test.kmalloc.slab(of: element.address).map {
                $0.cache(on: SimulatedPlatform.self).value.objectSize
            }
            element.fill(try #require(size), seed: 3)
            expect(.overrun, test, at: element + Int(try #require(size)))
            expect(.underrun, test, at: element - 1)
            pool.free(element)
            #expect(test.violations().isEmpty)
        }
    }

    /// `mempool_kmalloc_uaf`, `mempool_slab_uaf`: a write to an element that went back to its cache.
    @Test(arguments: [PoolKind.small, .odd, .cache])
    func mempool_uaf(kind: PoolKind) throws {
        let test = machine()
        try test.run {
            let cache = try test.kmalloc.makeCache("pool", 120, .noMerge)
            let pool = try kind.make(4, on: test, cache)
            let element = try #require(pool.allocate())
            pool.free(element)
            #expect(pool.reserved == 4)
            expect(.writeAfterFree, test, at: element + 5)
        }
    }

    /// `mempool_kmalloc_double_free`, `mempool_kmalloc_large_double_free` and `mempool_page_alloc_double_free`, into a reserve
    /// that has room and into one that has none; `mempool_kmalloc_invalid_free`, `mempool_kmalloc_large_invalid_free`.
    @Test(arguments: PoolKind.allCases, [false, true])
    func mempool_double_and_invalid_free(kind: PoolKind, hasRoom: Bool) throws {
        let test = machine(nil)
        try test.run {
            let cache = try test.kmalloc.makeCache("pool", 120, .noMerge)
            let pool = try kind.make(4, on: test, cache)
            let element = try #require(pool.allocate())
            var others: [UnsafeMutableRawPointer] = []
            if hasRoom {
                let taken = test.exhaust()
                while let other = pool.allocate(.atomic | .noWarn) { others.append(other) }
                test.giveBack(taken)
            }
            #expect(pool.reserved == (hasRoom ? 0 : 4))
            let before = (pool.reserved, test.counters())
            pool.free(element + 1)
            pool.free(element + 8)
            #expect(test.violations().allSatisfy { $0.kind == .misalignedFree || $0.kind == .wildFree })
            #expect(pool.reserved == before.0 && test.counters() == before.1)
            pool.free(element)
            let after = (pool.reserved, test.counters())
            pool.free(element)
            #expect(test.violations().map(\.kind) == [.doubleFree])
            #expect(after.0 == (hasRoom ? 1 : 4))
            #expect(pool.reserved == after.0 && test.counters() == after.1)
            for other in others { pool.free(other) }
            #expect(test.violations().isEmpty)
        }
    }
}
