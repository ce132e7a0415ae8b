import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

@Suite struct PlacementTests {
    /// The objects that an empty magazine is filled with: three quarters of what it holds.
    private static let filling = Magazine<SimulatedPlatform>.capacity / 4 * 3

    private func order(of test: TestMachine, count: Int) throws -> [UInt] {
        try test.run {
            let pointers = try (0..<count).map { _ in try #require(test.kmalloc.allocate(64)).address }
            let base = pointers.min()! & ~4095
            return pointers.map { $0 - base }
        }
    }

    /// All objects of one slab, neither ascending nor descending.
    @Test func objectsComeInRandomOrder() throws {
        let offsets = try order(of: TestMachine(), count: 32)
        #expect(Set(offsets).count == 32 && offsets.allSatisfy { $0 < 4096 })
        let steps = zip(offsets, offsets.dropFirst()).map { Int($1) - Int($0) }
        #expect(Set(steps).count > 8, "\(offsets)")
        #expect(offsets != offsets.sorted() && offsets != offsets.sorted(by: >))
    }

    @Test func orderIsAscendingWhereThatIsAskedFor() throws {
        var options = SlabOptions()
        options.randomOrder = false
        let test = TestMachine(slabOptions: options)
        let offsets = try order(of: test, count: Self.filling)
        // A magazine is filled in ascending order and emptied from above.
        #expect(offsets == (0..<Self.filling).reversed().map { UInt($0) * 64 })
    }

    /// Objects are taken from the fullest slab, so that the others can become empty: wherever that lies, and whether it was
    /// freed into before the others or after them.
    @Test(arguments: [0, 4, 9])
    func theFullestSlabIsUsedFirst(position: Int) throws {
        let test = TestMachine()
        try test.run {
            let held = try (0..<640).map { _ in try #require(test.kmalloc.allocate(64)) }
            let slabs = Dictionary(grouping: held) { $0.address & ~4095 }
            #expect(slabs.count == 10)
            // One slab keeps three quarters of its objects, the others an eighth.
            let fullest = slabs.keys.sorted()[position]
            for (base, objects) in slabs.sorted(by: { $0.key < $1.key }) {
                for pointer in objects.prefix(base == fullest ? 16 : 56) { test.kmalloc.free(pointer) }
            }
            test.kmalloc.shrink()
            // One filling of a magazine: all that the fullest has, the rest from one other.
            let next = try (0..<Self.filling).map { _ in try #require(test.kmalloc.allocate(64)).address & ~4095 }
            #expect(next.count { $0 == fullest } == 16 && Set(next).count == 2)
            try test.kmalloc.checkInvariants()
        }
    }

    /// The lists agree with the share of free objects, for every size of slab.
    @Test func slabsAreListedByFullness() {
        for count in 1...512 {
            let memory = UnsafeMutableRawPointer.allocate(byteCount: SlabLists.byteCount, alignment: 8)
            defer { memory.deallocate() }
            let lists = SlabLists(in: memory, objectCount: count)
            #expect(lists.list(free: 0) == SlabLists.full && lists.list(free: count) == SlabLists.empty)
            for free in stride(from: 1, to: count, by: 1) {
                let list = lists.list(free: free)
                #expect(1...4 ~= list && list >= lists.list(free: free - 1), "\(free) of \(count)")
                // List 1 is for up to a quarter, and so on, but for what rounding does at the bounds.
                let quarters = Double(4 * free) / Double(count)
                #expect(Double(list - 1)...Double(list) + 0.01 ~= quarters, "\(free) of \(count)")
            }
        }
    }

    /// Of slabs that are wholly free a cache keeps eight frames' worth, one at least, and no more.
    @Test(arguments: [64, 512, 1500, 4096, 32768] as [UInt])
    func fewEmptySlabsAreKept(size: UInt) throws {
        let test = TestMachine()
        try test.run {
            let cache = try test.kmalloc.makeCache("kept", size, .noMerge)
            let perSlab = test.kmalloc.cache("kept").layout.objectCount
            let objects = try #require(cache.allocateAll(40 * perSlab))
            // Past magazine and depot, home to the slabs.
            let magazine = test.kmalloc.cache("kept").target.value.magazine(0)
            #expect(magazine.tryHold())
            cache.freeAll(objects)
            magazine.letGo()
            let figures = cache.statistics
            #expect(figures.slabs - figures.activeSlabs == max(1, 8 / figures.pagesPerSlab))
            #expect(test.kmalloc.destroyCache(cache))
        }
    }
}
