import MemoryPrimitives
import PageFrames
import Testing

@testable import Slab

@Suite struct ExhaustionTests {
    /// Each of the frames that bringing up takes fails in turn.
    @Test func bringUpGivesEverythingBack() throws {
        let test = TestMachine(startsKmalloc: false)
        try test.run {
            var taken = test.exhaust()
            var attempts = 0
            while true {
                let before = test.freeFrames
                if test.startKmalloc() { break }
                #expect(test.freeFrames == before)
                attempts += 1
                // Give one more frame back, lowest first, so that blocks grow together.
                let lowest = try #require(taken.indices.min { taken[$0] < taken[$1] })
                test.frames.free(taken.remove(at: lowest), order: 0)
            }
            #expect(attempts > 4)
            test.giveBack(taken)
            try test.frames.checkInvariants()
            #expect(test.violations().isEmpty)
        }
    }

    @Test(arguments: classSizes + [9000, 200_000])
    func anEmptyBuddyLeavesEverythingAsItWas(size: UInt) throws {
        let test = TestMachine()
        try test.run {
            let taken = test.exhaust()
            let before = test.counters()
            for flags in [AllocationFlags.kernel, .dma, [.kernel, .zero]] {
                #expect(test.kmalloc.allocate(size, flags: flags) == nil)
                #expect(test.kmalloc.alignedAllocate(size, alignment: 64, flags: flags) == nil)
                #expect(test.kmalloc.kcalloc(1, size, flags) == nil)
                #expect(test.kmalloc.krealloc(nil, size, flags) == nil)
            }
            #expect(test.counters() == before)
            try test.kmalloc.checkInvariants()
            test.giveBack(taken)
            #expect(test.kmalloc.allocate(size) != nil)
            #expect(test.violations().isEmpty)
        }
    }

    /// The slab's own block can be had, the page of its header cannot.
    @Test(arguments: [(512, 0), (1024, 1), (4096, 3)] as [(UInt, Int)])
    func aMissingHeaderGivesTheBlockBack(size: UInt, order: Int) throws {
        let test = TestMachine()
        try test.run {
            let block = try #require(test.frames.allocate(order: order))
            let taken = test.exhaust()
            test.frames.free(block, order: order)
            let before = test.counters()
            #expect(test.freeFrames == 1 << UInt(order))
            #expect(test.kmalloc.allocate(size) == nil)
            #expect(test.counters() == before)
            try test.kmalloc.checkInvariants()
            // With one frame more it can.
            test.frames.free(taken[0], order: 0)
            #expect(test.kmalloc.allocate(size) != nil)
            #expect(test.freeFrames == 0)
            try test.kmalloc.checkInvariants()
            #expect(test.violations().isEmpty)
        }
    }

    /// Until nothing is left, and back to the last frame.
    @Test(arguments: classSizes)
    func everythingCanBeHandedOut(size: UInt) throws {
        let test = TestMachine(memory: 3 << 20)
        try test.run {
            let before = test.freeFrames
            var held: [UnsafeMutableRawPointer] = []
            while let pointer = test.kmalloc.allocate(size) { held.append(pointer) }
            #expect(Set(held).count == held.count)
            // All but what is no object, and what is too fragmented for the last slab.
            #expect(UInt(held.count) * size > before * 4096 * 85 / 100 - 65536)
            try test.kmalloc.checkInvariants()
            for pointer in held { test.kmalloc.free(pointer) }
            test.kmalloc.shrink()
            #expect(test.freeFrames == before)
            #expect(test.violations().isEmpty)
        }
    }
}
