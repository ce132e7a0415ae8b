import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

@Suite struct CacheMisuseTests {
    /// Frees `address` to `cache` and expects that exactly this is reported and nothing changes.
    private func expect(
        _ kind: MemoryViolation.Kind, freeing address: UInt, to cache: TestedCache, on test: TestMachine,
        _ location: SourceLocation = #_sourceLocation
    ) throws {
        for isBulk in [false, true] {
            let before = test.counters()
            let pointer = UnsafeMutableRawPointer(bitPattern: address)
            if isBulk { cache.freeAll([nil, pointer, nil]) } else { cache.free(pointer) }
            let violations = test.violations()
            #expect(violations.map(\.kind) == [kind], sourceLocation: location)
            #expect(violations.first?.call.description == "kmem_cache_free", sourceLocation: location)
            #expect(violations.first?.address == address, sourceLocation: location)
            #expect(test.counters() == before, sourceLocation: location)
            try test.kmalloc.checkInvariants()
        }
    }

    @Test(arguments: [8, 72, 512, 4096, 32768] as [UInt])
    func wrongFrees(size: UInt) throws {
        let test = TestMachine()
        try test.run {
            let cache = try test.kmalloc.makeCache(size, .noMerge)
            let other = try test.kmalloc.makeCache(size, .noMerge)
            let object = try #require(cache.allocate())
            let keeper = try #require(cache.allocate())
            let foreign = try #require(other.allocate())
            let plain = try #require(test.kmalloc.allocate(size))
            let frame = try #require(test.frames.allocate(order: 0))
            try expect(.wrongCache, freeing: foreign.address, to: cache, on: test)
            try expect(size > 8192 ? .wildFree : .wrongCache, freeing: plain.address, to: cache, on: test)
            try expect(.misalignedFree, freeing: object.address + 1, to: cache, on: test)
            try expect(.misalignedFree, freeing: object.address + size - 1, to: cache, on: test)
            try expect(.wildFree, freeing: UInt(bitPattern: test.directMap.pointer(to: frame)), to: cache, on: test)
            for address in [8, Allocator.zeroSizeAddress, test.directMap.base - 8, .max] {
                try expect(.wildFree, freeing: address, to: cache, on: test)
            }
            cache.free(object)
            try expect(.doubleFree, freeing: object.address, to: cache, on: test)
            test.kmalloc.shrink()
            try expect(.doubleFree, freeing: object.address, to: cache, on: test)
            cache.free(keeper)
            test.kmalloc.shrink()
            try expect(.doubleFree, freeing: object.address, to: cache, on: test)
            cache.free(nil)
            #expect(test.violations().isEmpty)
        }
    }

    /// Of many at once, those that are wrong are reported, and the others freed.
    @Test func wrongFreesAmongMany() throws {
        let test = TestMachine()
        try test.run {
            let cache = try test.kmalloc.makeCache(64, .noMerge)
            let plain = try #require(test.kmalloc.allocate(64))
            var objects: [UnsafeMutableRawPointer?] = try #require(cache.allocateAll(300))
            objects[250] = nil
            objects.insert(plain, at: 0)
            objects.insert(plain, at: 90)
            objects.append(objects[17])
            cache.freeAll(objects)
            #expect(test.violations().map(\.kind) == [.wrongCache, .wrongCache, .doubleFree])
            #expect(cache.statistics.activeObjects == 1)
            try test.kmalloc.checkInvariants()
        }
    }

    /// A second free is one wherever the slab's frames are: kept by the cache, in a frame cache, or in the buddy.
    @Test(arguments: [64, 8192, 32768] as [UInt], TestMachine.combinations.indices)
    func secondFreesAfterTheSlabHasGone(size: UInt, options: Int) throws {
        let test = TestMachine(cpuCount: 2, options: TestMachine.combinations[options])
        try test.run {
            let cache = try test.kmalloc.makeCache("gone", size, .noMerge)
            let objects = try #require(cache.allocateAll(20))
            cache.freeAll(objects)
            cache.shrink()
            #expect(cache.statistics.slabs == 0)
            for object in objects { cache.free(object) }
            #expect(test.violations().map(\.kind) == Array(repeating: .doubleFree, count: 20))
            for object in objects { test.kmalloc.free(object) }
            #expect(test.violations().map(\.kind) == Array(repeating: .doubleFree, count: 20))
            try test.kmalloc.checkInvariants()
        }
    }
}
