import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

/// The slab's shrinker.
@Suite struct PressureTests {
    /// Frames that hold nothing but free objects are there for who needs them.
    @Test(arguments: [8, 64, 512, 4096] as [UInt], [false, true])
    func freeObjectsGiveWay(size: UInt, isRegistered: Bool) throws {
        let test = TestMachine()
        try test.run {
            if isRegistered { test.registerShrinker() }
            let cache = try test.kmalloc.makeCache("pressed", size, .noMerge)
            let objects =
                (0..<40).compactMap { _ in cache.allocate() } + (0..<40).compactMap { _ in test.kmalloc.allocate(size) }
            // Without what may wait, nothing is asked to give way.
            let taken = test.exhaust()
            for object in objects[..<40] { cache.free(object) }
            for object in objects[40...] { test.kmalloc.free(object) }
            #expect(cache.statistics.slabs > 0)
            while let frame = test.frames.allocate(order: 0, flags: .atomic | .noWarn) { test.taken.append(frame) }
            #expect(test.frames.allocate(order: 0, flags: .noWait | .noWarn) == nil)
            let frame = test.frames.allocate(order: 0, flags: .kernel | .noWarn)
            #expect((frame != nil) == isRegistered)
            try test.kmalloc.checkInvariants()
            if let frame { test.frames.free(frame, order: 0) }
            test.giveBack(taken + test.taken)
            #expect(test.kmalloc.destroyCache(cache))
            #expect(test.violations().isEmpty)
        }
    }

    /// An object in use keeps its slab, and those of typesafe caches stay.
    @Test func whatIsInUseStays() throws {
        let test = TestMachine()
        try test.run {
            test.kmalloc.shrink()
            #expect(test.kmalloc.count(for: .kernel) == 0)
            let cache = try test.kmalloc.makeCache(512, .typesafe)
            cache.freeAll(try #require(cache.allocateAll(20)))
            let used = try #require(test.kmalloc.allocate(300))
            used.fill(300, seed: 4)
            let slabs = cache.statistics.slabs
            _ = test.kmalloc.scan(1000, for: .kernel)
            #expect(used.isFilled(300, seed: 4, checked: 300))
            #expect(cache.statistics.slabs == slabs)
            #expect(test.kmalloc.scan(1000, for: .kernel) == 0)
            test.kmalloc.free(used)
            // No more than was asked for, where slabs wait.
            let many = (0..<64).compactMap { _ in test.kmalloc.allocate(4096) }
            for object in many { test.kmalloc.free(object) }
            #expect(test.kmalloc.count(for: .kernel) > 0)
            #expect((1...8).contains(test.kmalloc.scan(1, for: .kernel)))
            #expect(test.violations().isEmpty)
        }
    }
}
