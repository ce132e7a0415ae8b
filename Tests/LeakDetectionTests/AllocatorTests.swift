import LeakDetection
import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing
import VirtualMemory

/// Blocks, areas and stacks, and what allocators have for themselves.
@Suite struct AllocatorTests {
    @Test func whatAllocatorsHaveForThemselvesIsNotLost() throws {
        let test = LeakMachine()
        try test.run {
            #expect(test.scanForLeaks() == [])
            // Slabs, their headers, page tables, areas with pages, descriptions of areas: nobody else's.
            let objects = try (0..<3000).map { index in try #require(test.kmalloc(UInt(index % 700) + 1)) }
            let areas = try (1..<20).map { pages in
                try #require(test.vmalloc(UInt(pages) << 12, populate: pages % 2 == 0))
            }
            for area in areas { try test.machine.store(1 as UInt64, to: area) }
            for object in objects { test.kfree(object) }
            for area in areas { test.vmalloc.value.free(area) }
            #expect(test.scanForLeaks() == [])
            test.kmalloc.value.shrink()
            #expect(test.scanForLeaks() == [])
        }
        try test.check()
    }

    @Test func areasAreLookedThroughAsFarAsTheyAreThere() throws {
        let test = LeakMachine()
        try test.run {
            let area = try #require(test.vmalloc(100 << 12))
            let object = try #require(test.kmalloc(512))
            test.data[0] = area.rawValue + 99 << 12
            try test.machine.store(UInt64(object + 500), to: area + 50 << 12 + 8)
            let pages = test.presentPages
            #expect(test.scanForLeaks() == [])
            // Looking touches no page.
            #expect(test.presentPages == pages)
            test.data[0] = area.rawValue + 100 << 12
            #expect(test.scanForLeaks() == [object, area.rawValue].sorted())
            test.vmalloc.value.free(area)
            #expect(test.scanForLeaks() == [object])
        }
        try test.check()
    }

    /// What is noted down of an area is found again when it is freed, wherever its guard pages are.
    @Test(arguments: [0, 1, 3] as [UInt16])
    func guardPagesBelowAnAreaAreNoneOfItsMemory(guardPagesBelow: UInt16) throws {
        let test = LeakMachine()
        try test.run {
            let request = AreaRequest(.vmalloc, pageCount: 2, guardPagesBelow: guardPagesBelow, name: "guarded")
            let found = test.vmalloc.value.allocateOnDemand(request)
            let area = try #require(found)
            #expect(test.scanForLeaks() == [area.usable.start.rawValue])
            test.vmalloc.value.free(area.usable.start)
            #expect(!test.contains(area.usable.start.rawValue))
            #expect(test.scanForLeaks() == [])
        }
        try test.check()
    }

    @Test func stackIsKnownByItsDescription() throws {
        let test = LeakMachine()
        try test.run {
            let stack = try #require(
                test.makeStack())
            test.data[0] = stack.limit.rawValue - PageSize.byteCount
            #expect(test.scanForLeaks() == [])
            test.data[0] = 0
            #expect(test.scanForLeaks() == [stack.limit.rawValue - PageSize.byteCount])
            stack.free()
            #expect(test.scanForLeaks() == [])
        }
        try test.check()
    }

    @Test(arguments: [0, 1, 5, 9])
    func blockIsKnownByNumberAndByAddress(order: Int) throws {
        let test = LeakMachine(memory: 64 << 20)
        try test.run {
            // Numbers such as 1024 and 5120 stand in many places: blocks with such are passed over.
            var found: PageFrameNumber?
            while found == nil {
                let frame = try #require(test.frames(order: order, flags: .kernel | .zero))
                if frame.rawValue.nonzeroBitCount >= 4 {
                    found = frame
                } else {
                    test.detector.value.freed(test.direct(frame), byteCount: PageSize.byteCount << UInt(order))
                }
            }
            let frame = try #require(found)
            let start = test.direct(frame)
            for word in [frame.rawValue, frame.address.rawValue, start, start + PageSize.byteCount << UInt(order) - 1] {
                test.data[7] = word
                #expect(test.scanForLeaks() == [])
            }
            let others = [
                frame.rawValue + 1, frame.address.rawValue + 4096, frame.address.rawValue + 1, start - 1,
                start + PageSize.byteCount << UInt(order),
            ]
            for word in others {
                test.data[7] = word
                #expect(test.scanForLeaks() == [start], "\(word)")
            }
            test.data[7] = 0
            // What the owner notes down in the descriptor is looked at.
            let object = try #require(test.kmalloc(64))
            test.frames.value.descriptor(of: frame)!.pointee.owner = object
            #expect(test.scanForLeaks() == [start])
            test.frames.value.descriptor(of: frame)!.pointee.owner = 0
            // And so is the block, where something refers to it.
            test.store(object, at: start + PageSize.byteCount << UInt(order) - 8)
            test.data[7] = start
            #expect(test.scanForLeaks() == [])
            test.frames.value.free(frame, order: order)
            #expect(test.scanForLeaks() == [object])
        }
        try test.check()
    }

    @Test func partsOfBlocksAreFreed() throws {
        let test = LeakMachine()
        try test.run {
            let before = test.recordCount
            let frame = try #require(test.exactFrames(5 << 12))
            let start = test.direct(frame)
            #expect(test.describe(start)?.byteCount == 5 << 12)
            #expect(test.describe(start + 5 << 12) == nil)
            test.frames.value.free(frame + 2, order: 0)
            #expect(test.describe(start + 1 << 12)?.byteCount == 2 << 12)
            #expect(test.describe(start + 2 << 12) == nil)
            #expect(test.describe(start + 3 << 12)?.start == start + 3 << 12)
            test.frames.value.free(frame, order: 0)
            #expect(test.describe(start + 1 << 12)?.start == start + 1 << 12)
            for index in [1, 3, 4] as [UInt] { test.frames.value.free(frame + index, order: 0) }
            #expect(test.recordCount == before)
        }
        try test.check()
    }

    @Test func claimedBlocksAreNotLost() throws {
        let test = LeakMachine()
        try test.run {
            let frame = try #require(test.frames(order: 2))
            test.frames.value.claim(frame, order: 2, as: .slab, owner: 0x1230)
            #expect(test.describe(test.direct(frame)) == nil)
            #expect(test.scanForLeaks() == [])
            test.frames.value.release(frame, order: 2, from: .slab)
            test.frames.value.free(frame, order: 2)
            let untold = try #require(test.frames(order: 0, flags: .kernel | .noLeakTrace))
            #expect(test.describe(test.direct(untold)) == nil)
            test.frames.value.free(untold, order: 0)
            #expect(test.kmalloc(64, .kernel | .noLeakTrace).flatMap { test.describe($0) } == nil)
        }
        try test.check()
    }
}

/// A kernel stack, which cannot be copied.
final class StackBox {
    private var stack: KernelStack<SimulatedPlatform>?
    let limit: VirtualAddress

    init(_ stack: consuming KernelStack<SimulatedPlatform>) {
        limit = stack.limit
        self.stack = consume stack
    }

    func free() { stack.take()?.free() }
}
