import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

/// Free objects between magazines and slabs.
@Suite struct DepotTests {
    private typealias Pointer = UnsafeMutableRawPointer

    /// A machine with a cache of objects of 64 bytes, and what is asked of its depot.
    private struct Tested {
        let test: TestMachine
        let cache: TestedCache
        /// The free frames without the cache.
        let before: UInt

        init(cpuCount: Int = 1) throws {
            let test = TestMachine(cpuCount: cpuCount)
            self.test = test
            before = test.run { test.freeFrames }
            cache = try test.run { try test.kmalloc.makeCache("tested", 64, .noMerge) }
        }

        var depot: Depot<SimulatedPlatform> { test.kmalloc.cache("tested").target.value.withState { $0.depot } }
        var figures: SlabCacheStatistics { cache.statistics }

        func allocate(_ count: Int) throws -> [Pointer] { try (0..<count).map { _ in try #require(cache.allocate()) } }

        /// Ends the cache. - Returns: whether all is as it was without it.
        func isGone() throws -> Bool {
            try test.kmalloc.checkInvariants()
            #expect(test.kmalloc.destroyCache(cache))
            test.kmalloc.shrink()
            return test.freeFrames == before && test.violations().isEmpty
        }
    }

    @Test func aLoadThatGoesUpAndDownTouchesNoSlab() throws {
        let tested = try Tested()
        try tested.test.run {
            let first = try tested.allocate(3008)
            for object in first { tested.cache.free(object) }
            let filled = tested.figures
            #expect(filled.activeObjects == 0 && filled.cachedObjects >= 3000)
            #expect(tested.depot.objectCount > 2900 && tested.depot.full.count > 60)
            try tested.test.kmalloc.checkInvariants()
            for round in 0..<20 {
                let objects = try tested.allocate(3008)
                #expect(Set(objects) == Set(first), "round \(round)")
                for object in round % 2 == 0 ? objects : objects.reversed() { tested.cache.free(object) }
            }
            #expect(tested.figures.slabsFetched == filled.slabsFetched && tested.figures.slabsReturned == 0)
            #expect(try tested.isGone())
        }
    }

    /// After a peak the objects of most buckets go home while the cache is used, and so do the buckets.
    @Test func whatIsNotNeededGoesHome() throws {
        let tested = try Tested()
        try tested.test.run {
            for object in try tested.allocate(3000) { tested.cache.free(object) }
            let peak = tested.depot.bucketCount
            var rounds = 0
            while tested.depot.bucketCount > 8, rounds < 2000 {
                for object in try tested.allocate(100) { tested.cache.free(object) }
                rounds += 1
            }
            #expect(peak > 60 && tested.depot.bucketCount <= 8, "\(rounds) rounds")
            #expect(tested.figures.slabs <= 8 + 8, "few slabs have objects that wait, and few empty ones are kept")
            #expect(tested.figures.slabsReturned > 20)
            #expect(try tested.isGone())
        }
    }

    /// Empty buckets, too: a load that goes up and stays.
    @Test func emptyBucketsGoHome() throws {
        let tested = try Tested()
        try tested.test.run {
            for object in try tested.allocate(3000) { tested.cache.free(object) }
            let used = try tested.allocate(3000)
            #expect(tested.depot.full.count == 0 && tested.depot.empty.count > 60)
            for _ in 0..<2000 { for object in try tested.allocate(100) { tested.cache.free(object) } }
            #expect(tested.depot.bucketCount <= 8)
            for object in used { tested.cache.free(object) }
            #expect(try tested.isGone())
        }
    }

    /// What was not needed for a while, and is needed before it is home, stays.
    @Test func whatIsNeededAfterAllStays() throws {
        let tested = try Tested()
        try tested.test.run {
            for object in try tested.allocate(3008) { tested.cache.free(object) }
            var rounds = 0
            while !tested.depot.hasSurplus, rounds < 2000 {
                for object in try tested.allocate(100) { tested.cache.free(object) }
                rounds += 1
            }
            #expect(tested.depot.hasSurplus)
            let buckets = tested.depot.bucketCount
            let objects = try tested.allocate(3000)
            #expect(!tested.depot.hasSurplus && tested.depot.full.count <= 1)
            for object in objects { tested.cache.free(object) }
            #expect(tested.depot.bucketCount >= buckets - 1 && tested.figures.slabsReturned == 0)
            #expect(try tested.isGone())
        }
    }

    /// A cache whose last slab has gone may still have buckets: its end gives them back.
    @Test func theEndGivesBucketsBack() throws {
        let tested = try Tested()
        try tested.test.run {
            for object in try tested.allocate(640) { tested.cache.free(object) }
            let objects = try tested.allocate(tested.figures.cachedObjects)
            #expect(tested.depot.full.count == 0 && tested.depot.empty.count > 5)
            let cache = tested.test.kmalloc.cache("tested").target
            #expect(cache.value.magazine(0).tryHold())
            for object in objects { tested.cache.free(object) }
            cache.value.magazine(0).letGo()
            _ = cache.value.returnEmptySlabs(upTo: .max)
            #expect(tested.figures.slabs == 0 && tested.depot.bucketCount > 5)
            #expect(try tested.isGone())
        }
    }

    /// Objects come back to the CPU that allocates, without their slabs being looked for.
    @Test func objectsFreedOnAnotherCPUComeBack() throws {
        let tested = try Tested(cpuCount: 2)
        var fetched: UInt = 0
        for round in 0..<50 {
            let objects = try tested.test.run(onCPU: 0) { try tested.allocate(500) }
            if round == 1 { fetched = tested.test.run { tested.figures.slabsFetched } }
            tested.test.run(onCPU: 1) { for object in objects { tested.cache.free(object) } }
        }
        try tested.test.run {
            #expect(tested.figures.slabsFetched == fetched && tested.figures.slabsReturned == 0)
            try tested.test.kmalloc.checkInvariants()
            #expect(tested.test.kmalloc.destroyCache(tested.cache))
            #expect(tested.test.violations().isEmpty)
        }
    }

    /// Without memory for a bucket the objects go home, and for a while nobody asks for one again.
    @Test func withoutMemoryObjectsGoToTheirSlabs() throws {
        let tested = try Tested()
        try tested.test.run {
            let objects = try tested.allocate(1000)
            let taken = tested.test.exhaust()
            for object in objects { tested.cache.free(object) }
            #expect(tested.depot.bucketCount == 0 && !tested.depot.mayGrow)
            #expect(tested.figures.activeObjects == 0 && tested.figures.slabsReturned > 0)
            #expect(tested.test.violations().isEmpty)
            try tested.test.kmalloc.checkInvariants()
            tested.test.giveBack(taken)
            for _ in 0..<200 { for object in try tested.allocate(200) { tested.cache.free(object) } }
            #expect(tested.depot.bucketCount > 0 && tested.depot.mayGrow)
            try tested.test.kmalloc.checkInvariants()
            #expect(tested.test.kmalloc.destroyCache(tested.cache))
        }
    }

    /// While the magazine is held, objects come from the depot one by one where the slabs have none.
    @Test func singleObjectsComeFromTheDepot() throws {
        let tested = try Tested()
        try tested.test.run {
            // All slabs full: 64 objects each.
            let objects = try tested.allocate(640)
            for object in objects { tested.cache.free(object) }
            let slabs = tested.figures.slabs
            let magazine = tested.test.kmalloc.cache("tested").target.value.magazine(0)
            let waiting = tested.depot.objectCount
            #expect(magazine.tryHold())
            let single = try tested.allocate(waiting)
            #expect(tested.depot.objectCount == 0 && tested.figures.slabs == slabs)
            #expect(Set(single).isSubset(of: objects))
            for object in single { tested.cache.free(object) }
            magazine.letGo()
            try tested.test.kmalloc.checkInvariants()
            #expect(tested.test.kmalloc.destroyCache(tested.cache))
            #expect(tested.test.violations().isEmpty)
        }
    }

    /// Nothing but depots can give way, and all of it does.
    @Test func underPressureAllGoesHome() throws {
        let tested = try Tested()
        try tested.test.run {
            tested.test.registerShrinker()
            for object in try tested.allocate(3000) { tested.cache.free(object) }
            #expect(tested.test.kmalloc.count(for: .kernel) > 40)
            var taken: [PageFrameNumber] = []
            while let frame = tested.test.frames.allocate(order: 0, flags: .kernel | .noWarn) { taken.append(frame) }
            #expect(tested.depot.bucketCount == 0 && tested.figures.cachedObjects == 0)
            tested.test.giveBack(taken)
            try tested.test.kmalloc.checkInvariants()
            #expect(tested.test.kmalloc.destroyCache(tested.cache))
        }
    }

    /// An object in the depot is free: a second free of it is seen.
    @Test func aDoubleFreeOfAnObjectInTheDepotIsCaught() throws {
        let tested = try Tested()
        try tested.test.run {
            let objects = try tested.allocate(500)
            for object in objects { tested.cache.free(object) }
            for object in objects { tested.cache.free(object) }
            let violations = tested.test.violations()
            #expect(violations.count == 500 && violations.allSatisfy { $0.kind == .doubleFree })
            try tested.test.kmalloc.checkInvariants()
            #expect(tested.test.kmalloc.destroyCache(tested.cache))
        }
    }
}
