import MemoryPrimitives
import PageFrames
import Testing

@testable import Slab

/// Objects so large that with all that debugging adds they would not fit into a slab.
@Suite struct LargeWatchedObjectTests {
    @Test(arguments: [(32768, false), (32760, false), (32504, true), (16384, true)] as [(UInt, Bool)])
    func cachesCanBeMade(size: UInt, fits: Bool) throws {
        for flags in [CacheFlags.none, .redZone, .poison | .storeUser | .redZone] {
            let test = TestMachine(slabOptions: SlabOptions(slubDebug: flags == .none ? "FZPU" : nil))
            try test.run {
                let before = test.freeFrames
                let cache = try test.kmalloc.makeCache("large", size, flags)
                let handle = test.kmalloc.cache("large")
                #expect(handle.layout.objectCount >= 1 && handle.layout.slotSize <= SlabLayout.largestSlotSize)
                // What needs room is left out where there is none; what needs none stays.
                #expect(handle.flags.contains(.redZone) == fits)
                if flags != .redZone { #expect(handle.flags.contains(.poison)) }
                let objects = try #require(cache.allocateAll(5))
                for object in objects { object.fill(size, seed: 1) }
                #expect(test.kmalloc.validate() == 0)
                cache.freeAll(objects)
                #expect(test.kmalloc.validate() == 0)
                cache.free(objects[0])
                #expect(test.violations().map(\.kind) == [.doubleFree])
                #expect(test.kmalloc.destroyCache(cache))
                test.kmalloc.shrink()
                #expect(test.freeFrames == before)
            }
        }
    }
}
