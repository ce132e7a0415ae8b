import MemoryPrimitives
import PageFrames
import Testing

@testable import Slab

/// The cases of Linux's `slub_kunit`, with its counts: one for an error, one for what is done about it.
@Suite struct SlubCountTests {
    /// A machine on which one cache is debugged, an object of it, and the cache.
    private func expect(
        _ count: UInt, _ name: StaticString, _ letters: StaticString, requesting requested: UInt = 0,
        afterFree: Bool = false, _ damage: (UnsafeMutableRawPointer) -> Void,
        _ location: SourceLocation = #_sourceLocation
    ) throws {
        let test = TestMachine(slabOptions: SlabOptions(slubDebug: letters))
        try test.run {
            let cache = test.kmalloc.cache(name)
            #expect(cache.isWatched)
            let object = try #require(cache.allocate(requested))
            if afterFree { test.kmalloc.free(object) }
            #expect(test.kmalloc.validate() == 0 && test.kmalloc.errorCount == 0, sourceLocation: location)
            damage(object)
            #expect(cache.validate() == Int(count) / 2, sourceLocation: location)
            #expect(test.kmalloc.errorCount == count, sourceLocation: location)
            // All has been made good.
            #expect(test.kmalloc.validate() == 0, sourceLocation: location)
            #expect(test.kmalloc.errorCount == count, sourceLocation: location)
            if !afterFree { test.kmalloc.free(object) }
            #expect(test.kmalloc.errorCount == count, sourceLocation: location)
            #expect(test.violations().count == Int(count) / 2, sourceLocation: location)
            try test.kmalloc.checkInvariants()
        }
    }

    @Test func clobberedRedZone() throws { try expect(2, "kmalloc-64", "Z,kmalloc-64") { $0[64] = 0x12 } }

    @Test func clobberedLeftRedZone() throws { try expect(2, "kmalloc-64", "Z,kmalloc-64") { $0[-1] = 0x12 } }

    @Test func firstWord() throws {
        try expect(2, "kmalloc-64", "P,kmalloc-64", afterFree: true) { $0[0] = 0x78 }
    }

    @Test func fiftiethByte() throws {
        try expect(2, "kmalloc-64", "P,kmalloc-64", afterFree: true) { $0[50] = 0x9a }
    }

    @Test func clobberedRedZoneOfAFreeObject() throws {
        try expect(2, "kmalloc-64", "Z,kmalloc-64", afterFree: true) { $0[64] = 0xab }
    }

    @Test func eighteenBytesInASlotOf32() throws {
        try expect(2, "kmalloc-32", "ZU,kmalloc-32", requesting: 18) { object in
            object[18] = UInt8(ascii: "a")
            object[19] = UInt8(ascii: "b")
        }
    }

    /// A free object of Linux holds the address of the next, which a write after free changes: 3 errors, the chain, the
    /// count and the fix; 2 once the chain is whole again and the count is not; then 0. Free objects of ours hold no
    /// address, here is what corresponds: the same write, to any word of the object or behind it, is a write after free,
    /// and found and restored as such (2, then 0); what is free stands in the slab's header, whose count is compared
    /// with the objects (2, then 0).
    @Test func nextPointer() throws {
        for offset in stride(from: 0, to: 56, by: 8) {
            try expect(2, "kmalloc-64", "P,kmalloc-64", afterFree: true) {
                $0.storeBytes(of: 0x1234_5678, toByteOffset: offset, as: UInt64.self)
            }
        }
        let test = TestMachine(slabOptions: SlabOptions(slubDebug: "P,kmalloc-64"))
        try test.run {
            let object = try #require(test.kmalloc.allocate(64))
            let slab = try #require(test.kmalloc.slab(of: object.address))
            slab.freeCount -= 3
            #expect(test.kmalloc.validate() == 1 && test.kmalloc.errorCount == 2)
            try test.kmalloc.checkInvariants()
            #expect(test.kmalloc.validate() == 0 && test.kmalloc.errorCount == 2)
            let violation = try #require(test.violations().first)
            #expect(violation.kind == .corruption && violation.address == slab.base)
        }
    }

    @Test func leakAtDestruction() throws {
        let test = TestMachine(slabOptions: SlabOptions(slubDebug: "U,kmalloc-64"))
        try test.run {
            let object = try #require(test.kmalloc.allocate(64))
            #expect(test.kmalloc.cache("kmalloc-64").reportRemaining() == 1)
            #expect(test.kmalloc.errorCount == 2)
            #expect(test.violations().map(\.kind) == [.objectInUse])
            test.kmalloc.free(object)
            #expect(test.kmalloc.cache("kmalloc-64").reportRemaining() == 0)
            #expect(test.kmalloc.errorCount == 2)
        }
    }

    /// `test_leak_destroy`: by `kmem_cache_destroy` itself, for a line of the slab and one of each object.
    @Test(arguments: [CacheFlags.none, .redZone | .poison | .storeUser])
    func leakAtDestructionOfACache(flags: CacheFlags) throws {
        let test = TestMachine()
        try test.run {
            let cache = try test.kmalloc.makeCache("TestSlub_leak", 64, flags | .noMerge)
            let objects = try #require(cache.allocateAll(3))
            cache.free(objects[2])
            cache.free(objects[1])
            #expect(!test.kmalloc.destroyCache(cache))
            #expect(test.kmalloc.errorCount == 2)
            #expect(test.violations().map(\.kind) == [.objectInUse])
            cache.free(objects[0])
            #expect(test.kmalloc.destroyCache(cache))
            #expect(test.kmalloc.errorCount == 2 && test.violations().isEmpty)
        }
    }

    @Test func reallocationInPlace() throws {
        let test = TestMachine(slabOptions: SlabOptions(slubDebug: "ZPU"))
        try test.run {
            let red = SlabBytes.usedRedZone
            let object = try #require(test.kmalloc.cache("kmalloc-64").allocate(48))
            for index in 0..<48 { object[index] = 0xff }
            #expect(test.kmalloc.reallocate(object, 40, flags: [.kernel, .zero]) == object)
            #expect(object.bytes(40..<72) == Array(repeating: red, count: 32))
            #expect(test.kmalloc.reallocate(object, 56, flags: [.kernel, .zero]) == object)
            #expect(object.bytes(40..<56) == Array(repeating: 0, count: 16))
            #expect(object.bytes(56..<72) == Array(repeating: red, count: 16))
            #expect(test.kmalloc.validate() == 0)
            for index in 0..<56 { object[index] = 0xff }
            let larger = try #require(test.kmalloc.reallocate(object, 112, flags: [.kernel, .zero]))
            #expect(larger != object)
            #expect(larger.bytes(0..<56) == Array(repeating: 0xff, count: 56))
            #expect(larger.bytes(56..<112) == Array(repeating: 0, count: 56))
            test.kmalloc.free(larger)
            #expect(test.kmalloc.validate() == 0 && test.kmalloc.errorCount == 0)
        }
    }
}
