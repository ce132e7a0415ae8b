import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

@Suite struct CacheTests {
    @Test(arguments: [1, 8, 9, 40, 64, 200, 1000, 4096, 8200, 32768] as [UInt], [0, 8, 64, 512, 4096] as [UInt])
    func objectsAreAlignedAndApart(size: UInt, alignment: UInt) throws {
        let test = TestMachine()
        try test.run {
            let before = test.counters()
            let cache = try test.kmalloc.makeCache(size, alignment: alignment)
            #expect(cache.objectSize == size)
            let objects = try (0..<100).map { _ in try #require(cache.allocate()) }
            for (seed, object) in objects.enumerated() {
                #expect(object.address % max(alignment, 8) == 0)
                object.fill(size, seed: UInt64(seed))
            }
            for (seed, object) in objects.enumerated() {
                #expect(object.isFilled(size, seed: UInt64(seed), checked: size))
            }
            try test.kmalloc.checkInvariants()
            for object in objects { cache.free(object) }
            try test.kmalloc.checkInvariants()
            #expect(test.kmalloc.destroyCache(cache))
            test.kmalloc.shrink()
            #expect(test.counters() == before)
            #expect(test.violations().isEmpty)
        }
    }

    @Test func hardwareCacheAlignmentFollowsTheSize() throws {
        let test = TestMachine()
        try test.run {
            for (size, slot) in [(1, 8), (8, 8), (9, 16), (17, 32), (32, 32), (33, 64), (65, 128)] as [(UInt, UInt)] {
                let cache = try test.kmalloc.makeCache(size, .hardwareCacheAlign)
                #expect(cache.statistics.objectSize == slot, "\(size) bytes")
                test.kmalloc.destroyCache(cache)
            }
        }
    }

    @Test func badRequestsAreRefused() throws {
        let test = TestMachine()
        try test.run {
            let before = test.counters()
            func refused(_ error: CacheError, _ name: StaticString, _ size: UInt, _ alignment: UInt) {
                #expect(throws: error) { try test.kmalloc.makeCache(name, size, alignment: alignment) }
                #expect(test.kmalloc.kmem_cache_create(name, size, alignment, .none, nil) == nil)
            }
            refused(.emptyName, "", 8, 0)
            refused(.nameTooLong, "a_name_of_more_than_thirty_one_b", 8, 0)
            refused(.unprintableName, "two words", 8, 0)
            refused(.unprintableName, "naïve", 8, 0)
            refused(.noSize, "test", 0, 0)
            refused(.sizeTooLarge, "test", 32769, 0)
            refused(.sizeTooLarge, "test", .max, 0)
            refused(.sizeTooLarge, "test", 8, 65536)
            refused(.sizeTooLarge, "test", 8, 1 << 63)
            refused(.sizeTooLarge, "test", 32761, 32768 * 2)
            refused(.alignmentNotPowerOfTwo, "test", 8, 24)
            refused(.alignmentNotPowerOfTwo, "test", 8, .max)
            #expect(test.counters() == before)
            #expect(test.violations().isEmpty)
            // Where the cache must be there, the failure is not passed over.
            #expect(test.kmalloc.kmem_cache_create("test", 0, 0, .panic, nil) == nil)
            #expect(test.violations().map(\.kind) == [.missingCache])
            let longest = try test.kmalloc.makeCache("a_name_of_just_thirty_one_bytes", 32768)
            test.kmalloc.destroyCache(longest)
        }
    }

    @Test func likeCachesAreOne() throws {
        let test = TestMachine()
        try test.run {
            let count = test.kmalloc.cacheCount
            let first = try test.kmalloc.makeCache("first", 60)
            let same = try test.kmalloc.makeCache("second", 64)
            #expect(first == same)
            #expect(same.name.isEqual(to: "first"))
            #expect(first.objectSize == 64)
            #expect(try test.kmalloc.makeCache("third", 40, .hardwareCacheAlign) == first)
            let apart = [
                try test.kmalloc.makeCache("a", 64, .noMerge), try test.kmalloc.makeCache("b", 64, .dma),
                try test.kmalloc.makeCache("c", 64, .reclaimable), try test.kmalloc.makeCache("d", 64, .typesafe),
                try test.kmalloc.makeCache("e", 64, .poison), try test.kmalloc.makeCache("f", 64) { _ in },
                try test.kmalloc.makeCache("g", 72), try test.kmalloc.makeCache("h", 64, .noLeakTrace),
                try test.kmalloc.makeCache("i", 64, .storeUser), try test.kmalloc.makeCache("j", 64, .redZone),
            ]
            for (position, cache) in apart.enumerated() {
                #expect(cache != first)
                #expect(!apart[..<position].contains(cache))
            }
            // Those that want to be apart are no more given to others than others to them.
            #expect(try test.kmalloc.makeCache("again", 64) == first)
            // The whole slot is cleared, whoever has asked for more of it.
            let object = try #require(same.allocate())
            object.fill(64, seed: 1)
            first.free(object)
            let held = try (0..<64).map { _ in try #require(same.allocate(flags: .kernel | .zero)) }
            #expect(held.allSatisfy { $0.isZero(64) })
            #expect(test.kmalloc.cacheCount == count + 11)
            for _ in 0..<3 { #expect(test.kmalloc.destroyCache(first)) }
            // The last of the four has objects in use.
            #expect(!test.kmalloc.destroyCache(first))
            let violations = test.violations()
            #expect(violations.allSatisfy { $0.kind == .objectInUse })
            #expect(violations.map(\.value).reduce(0, +) == 64)
            for cache in apart { #expect(test.kmalloc.destroyCache(cache)) }
            for object in held { first.free(object) }
            #expect(test.kmalloc.destroyCache(first))
            #expect(test.kmalloc.cacheCount == count)
            #expect(test.violations().isEmpty)
            try test.kmalloc.checkInvariants()
        }
    }

    @Test func aCacheIsDestroyedOnce() throws {
        let test = TestMachine()
        try test.run {
            let cache = try test.kmalloc.makeCache(72)
            #expect(test.kmalloc.destroyCache(cache))
            #expect(!test.kmalloc.destroyCache(cache))
            #expect(test.violations().map(\.kind) == [.doubleFree])
            #expect(test.kmalloc.destroyCache(nil))
            // Neither the standard caches nor anything else can be destroyed.
            let object = try #require(test.kmalloc.allocate(64))
            let standard = try #require(test.kmalloc.slab(of: object.address)).cache(on: SimulatedPlatform.self).value
                .address
            for address in [standard, object.address, 0, 8, .max] {
                #expect(!test.kmalloc.destroyCache(TestedCache(identifier: address)))
                #expect(test.violations().map(\.kind) == [.wildFree])
            }
            test.kmalloc.free(object)
            try test.kmalloc.checkInvariants()
        }
    }

    /// The constructor runs when a slab is made, which a typesafe cache then keeps; what it or the last user left is there at the next allocation.
    @Test func constructedObjectsStayAsTheyAre() throws {
        let test = TestMachine()
        try test.run {
            let cache = try test.kmalloc.makeCache("constructed", 96, .typesafe) { object in
                object.storeBytes(of: 0x1234_5678, as: UInt32.self)
                object.storeBytes(of: 0, toByteOffset: 88, as: UInt64.self)
            }
            var known: [UnsafeMutableRawPointer: UInt64] = [:]
            for round in 1...200 {
                let single = round % 2 == 0 ? [] : (0..<50).compactMap { _ in cache.allocate() }
                let objects = single.isEmpty ? try #require(cache.allocateAll(50)) : single
                #expect(Set(objects).count == 50)
                for object in objects {
                    #expect(object.load(as: UInt32.self) == 0x1234_5678)
                    #expect(object.load(fromByteOffset: 88, as: UInt64.self) == known[object, default: 0])
                    known[object, default: 0] += 1
                    object.storeBytes(of: known[object]!, toByteOffset: 88, as: UInt64.self)
                }
                for object in objects { cache.free(object) }
            }
            // Clearing would undo what the constructor promised.
            let object = try #require(test.kmalloc.kmem_cache_zalloc(cache, .kernel))
            #expect(object.load(as: UInt32.self) == 0x1234_5678)
            #expect(test.violations().isEmpty)
        }
    }

    @Test func shrinkGivesEmptySlabsBack() throws {
        let test = TestMachine()
        try test.run {
            let cache = try test.kmalloc.makeCache(512)
            let before = test.freeFrames
            let objects = try #require(cache.allocateAll(200))
            cache.freeAll(objects)
            #expect(cache.shrink() > 0)
            #expect(cache.statistics.slabs == 0)
            #expect(test.freeFrames >= before)
        }
    }

    /// Memory of a typesafe cache stays its own until that is destroyed.
    @Test func typesafeMemoryStays() throws {
        let test = TestMachine()
        try test.run {
            let before = test.freeFrames
            let cache = try test.kmalloc.makeCache(512, .typesafe)
            cache.freeAll(try #require(cache.allocateAll(200)))
            let slabs = cache.statistics.slabs
            cache.shrink()
            #expect(cache.statistics.slabs == slabs)
            #expect(test.kmalloc.destroyCache(cache))
            test.kmalloc.shrink()
            #expect(test.freeFrames == before)
            try test.kmalloc.checkInvariants()
        }
    }

    @Test func onlyTheNodeThatThereIs() throws {
        let test = TestMachine()
        try test.run {
            let cache = try test.kmalloc.makeCache(64)
            for node in [-1, 0] {
                let object = test.kmalloc.kmem_cache_alloc_node(cache, .kernel, node)
                #expect(object != nil)
                cache.free(object)
            }
            for node in [-2, 1, .max] { #expect(test.kmalloc.kmem_cache_alloc_node(cache, .kernel, node) == nil) }
        }
    }

    @Test func dmaObjectsLieInTheZone() throws {
        let test = TestMachine(memory: 64 << 20)
        try test.run {
            let cache = try test.kmalloc.makeCache(256, .dma)
            for object in try #require(cache.allocateAll(1000)) {
                #expect(object.address - test.directMap.base < 16 << 20)
            }
        }
    }
}
