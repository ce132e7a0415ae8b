import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

/// What the calls on caches and pools do that exist for their Linux names alone.
@Suite struct CacheNameTests {
    @Test func kmem_cache_shrinkGivesBackWhatIsFree() throws {
        let test = TestMachine(cpuCount: 2)
        let kmalloc = test.kmalloc.target
        let cache = try test.run { try test.kmalloc.makeCache("shrunk", 512, .noMerge) }
        let before = test.run { test.freeFrames }
        // What two CPUs' magazines hold goes as well; a slab that has an object in use stays.
        let kept = try test.run { () throws -> UnsafeMutableRawPointer in
            let objects = try #require(cache.allocateAll(300))
            for object in objects.dropFirst() { cache.free(object) }
            return objects[0]
        }
        try test.run(onCPU: 1) { cache.freeAll(try #require(cache.allocateAll(100))) }
        test.run {
            #expect(cache.statistics.cachedObjects > 0 && cache.statistics.slabs > 1)
            let status = kmalloc.value.kmem_cache_shrink(cache)
            #expect(status == 0)
            #expect(cache.statistics.cachedObjects == 0 && cache.statistics.slabs == 1)
            #expect(cache.statistics.activeObjects == 1)
            cache.free(kept)
            kmalloc.value.kmem_cache_shrink(cache)
            #expect(cache.statistics.slabs == 0 && test.freeFrames == before)
            // Nothing is left to be done.
            let again = kmalloc.value.kmem_cache_shrink(cache)
            #expect(again == 0 && test.freeFrames == before)
            #expect(test.kmalloc.destroyCache(cache))
            #expect(test.violations().isEmpty)
        }
    }

    /// The bytes that were asked for, not those of the slot; where caches are one, the most.
    @Test func kmem_cache_sizeIsWhatWasAskedFor() throws {
        for letters in [nil, "FZPU"] as [StaticString?] {
            let test = TestMachine(slabOptions: SlabOptions(slubDebug: letters))
            let kmalloc = test.kmalloc.target
            try test.run {
                for size in [1, 7, 8, 61, 100, 4097] as [UInt] {
                    let cache = try test.kmalloc.makeCache("size", size, alignment: 64, .noMerge)
                    let found = kmalloc.value.kmem_cache_size(cache)
                    #expect(found == size && cache.statistics.objectSize > size)
                    #expect(test.kmalloc.destroyCache(cache))
                }
            }
        }
        let test = TestMachine()
        let kmalloc = test.kmalloc.target
        try test.run {
            let first = try test.kmalloc.makeCache(65)
            let second = try test.kmalloc.makeCache(71)
            let sizes = [first, second].map { kmalloc.value.kmem_cache_size($0) }
            #expect(first == second && sizes == [71, 71])
        }
    }

    private func isRefused(_ pool: consuming TestedPool?) -> Bool {
        switch consume pool {
        case .none: true
        case .some: false
        }
    }

    @Test func mempool_create_slab_poolTakesTheCachesObjects() throws {
        let test = TestMachine()
        let kmalloc = test.kmalloc.target
        try test.run {
            let cache = try test.kmalloc.makeCache("elements", 200, .noMerge)
            test.kmalloc.shrink()
            let before = test.counters()
            let refused = isRefused(TestedPool.mempool_create_slab_pool(0, cache, in: kmalloc))
            #expect(refused)
            guard let pool = TestedPool.mempool_create_slab_pool(5, cache, in: kmalloc) else {
                Issue.record("no pool")
                return
            }
            #expect(cache.statistics.activeObjects == 5)
            let elements = (0..<7).map { _ in pool.mempool_alloc(.kernel) }
            #expect(Set(elements).count == 7 && !elements.contains(nil))
            for element in elements {
                let slab = try #require(test.kmalloc.slab(of: element!.address))
                #expect(slab.cache(on: SimulatedPlatform.self).value.address == cache.identifier)
            }
            // As long as there is memory the reserve stays as it is.
            #expect(cache.statistics.activeObjects == 12)
            for element in elements { pool.mempool_free(element) }
            #expect(cache.statistics.activeObjects == 5)
            // What is in the reserve cannot be freed past the pool.
            pool.mempool_destroy()
            #expect(cache.statistics.activeObjects == 0)
            test.kmalloc.shrink()
            #expect(test.counters() == before)
            let taken = test.exhaust()
            let exhausted = isRefused(TestedPool.mempool_create_slab_pool(5, cache, in: kmalloc))
            #expect(exhausted)
            test.giveBack(taken)
            test.kmalloc.shrink()
            #expect(test.counters() == before && test.violations().isEmpty)
        }
    }

    @Test(arguments: [0, 2, 5])
    func mempool_create_page_poolTakesPageFrames(order: Int) throws {
        let test = TestMachine()
        let kmalloc = test.kmalloc.target
        let byteCount = PageSize.byteCount << UInt(order)
        test.run {
            let before = test.counters()
            for (minimum, order) in [(0, order), (3, 11), (3, -1)] {
                let refused = isRefused(TestedPool.mempool_create_page_pool(minimum, order, in: kmalloc))
                #expect(refused)
            }
            guard let pool = TestedPool.mempool_create_page_pool(3, order, in: kmalloc) else {
                Issue.record("no pool")
                return
            }
            // The reserve, and the pool's own slabs.
            let taken = UInt(before[0]) - test.freeFrames
            #expect(taken >= 3 << UInt(order) && taken < 3 << UInt(order) + 32)
            let elements = (0..<4).compactMap { _ in pool.mempool_alloc(.kernel | .zero) }
            #expect(elements.count == 4 && UInt(before[0]) - test.freeFrames == taken + 4 << UInt(order))
            for element in elements {
                #expect(element.isZero(byteCount) && (element.address - test.directMap.base) % byteCount == 0)
                element.fill(byteCount, seed: UInt64(element.address))
            }
            for element in elements {
                #expect(element.isFilled(byteCount, seed: UInt64(element.address), checked: byteCount))
                pool.mempool_free(element)
            }
            #expect(UInt(before[0]) - test.freeFrames == taken)
            pool.mempool_destroy()
            test.kmalloc.shrink()
            #expect(test.counters() == before && test.violations().isEmpty)
        }
    }
}
