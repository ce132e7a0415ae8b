import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

@Suite struct CacheBulkTests {
    @Test(arguments: [8, 64, 3000, 32768] as [UInt], [0, 1, 2, 16, 61, 62, 200] as [Int])
    func manyAtOnce(size: UInt, count: Int) throws {
        let test = TestMachine()
        try test.run {
            let cache = try test.kmalloc.makeCache(size)
            for flags in [AllocationFlags.kernel, .kernel | .zero] {
                let objects = try #require(cache.allocateAll(count, flags: flags))
                #expect(Set(objects).count == count)
                #expect(cache.statistics.activeObjects == count)
                for object in objects {
                    if flags.contains(.zero) { #expect(object.isZero(size)) }
                    object.fill(size, seed: 0xbad)
                }
                try test.kmalloc.checkInvariants()
                cache.freeAll(objects)
                #expect(cache.statistics.activeObjects == 0)
                try test.kmalloc.checkInvariants()
            }
            #expect(test.kmalloc.destroyCache(cache))
            #expect(test.violations().isEmpty)
        }
    }

    /// With memory for some of them, none is handed out.
    @Test(arguments: [64, 512, 4096] as [UInt])
    func allOrNothing(size: UInt) throws {
        let test = TestMachine(memory: 3 << 20)
        try test.run {
            let cache = try test.kmalloc.makeCache(size)
            var held: [UnsafeMutableRawPointer] = []
            while let object = cache.allocate() { held.append(object) }
            for _ in 0..<50 { cache.free(held.removeLast()) }
            #expect(cache.allocateAll(51) == nil)
            #expect(cache.statistics.activeObjects == held.count)
            try test.kmalloc.checkInvariants()
            let rest = try #require(cache.allocateAll(50))
            #expect(Set(rest + held).count == held.count + 50)
            cache.freeAll(rest + held)
            #expect(test.kmalloc.destroyCache(cache))
            #expect(test.violations().isEmpty)
        }
    }
}
