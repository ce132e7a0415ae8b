import MemoryPrimitives
import PageFrames
import Testing

@testable import Slab

/// Memory that is asked for as zero is, whatever the cache that it comes from is watched for, and by whichever call.
@Suite struct WatchedZeroTests {
    static let letters: [StaticString?] = [nil, "F", "Z", "P", "U", "FZPU"]

    @Test(arguments: letters.indices)
    func bulk(choice: Int) throws {
        let test = TestMachine(slabOptions: SlabOptions(slubDebug: Self.letters[choice]))
        try test.run {
            let cache = try test.kmalloc.makeCache("zeroed", 120, .noMerge)
            for _ in 0..<2 {
                let objects = try #require(cache.allocateAll(40, flags: .kernel | .zero))
                for object in objects {
                    #expect(object.isZero(120))
                    object.fill(120, seed: 3)
                }
                cache.freeAll(objects)
            }
            #expect(test.kmalloc.validate() == 0)
            #expect(test.kmalloc.destroyCache(cache))
            #expect(test.violations().isEmpty)
        }
    }

    /// From the allocator, and from the reserve.
    @Test(arguments: letters.indices, PoolKind.allCases)
    func pools(choice: Int, kind: PoolKind) throws {
        let test = TestMachine(memory: 8 << 20, slabOptions: SlabOptions(slubDebug: Self.letters[choice]))
        try test.run {
            let cache = try test.kmalloc.makeCache("pool", 120, .noMerge)
            let pool = try kind.make(4, on: test, cache)
            for isGone in [false, true] {
                let taken = isGone ? test.exhaust() : []
                for _ in 0..<2 {
                    let elements = try (0..<4).map { _ in try #require(pool.allocate(.kernel | .zero | .noWarn)) }
                    for element in elements {
                        #expect(element.isZero(kind.byteCount))
                        element.fill(kind.byteCount, seed: 5)
                    }
                    for element in elements { pool.free(element) }
                }
                test.giveBack(taken)
            }
            #expect(test.kmalloc.validate() == 0)
            #expect(test.violations().isEmpty)
        }
    }
}
