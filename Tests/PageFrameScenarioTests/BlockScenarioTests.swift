import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import PageFrames

/// The scenarios of Linux's GPU buddy tests, with all blocks checked after every step.
@Suite struct BlockScenarioTests {
    /// One block of the highest order.
    static let section: Range<UInt> = 1024..<2048

    /// One block of each order leaves exactly one frame. The largest block is freed and whittled down in the same way,
    /// again and again. Then the single frames are freed: there are as many holes as rounds, no two of them buddies.
    @Test(arguments: [false, true]) func pathological(frameCaches: Bool) throws {
        let frames = try CheckedFrames(arena: Self.section, frameCaches: frameCaches)
        var blocks: [UInt] = []
        var holes: [UInt] = []
        for top in stride(from: 10, to: 0, by: -1) {
            if !blocks.isEmpty { try frames.release(blocks.removeFirst()) }
            for order in (0..<top).reversed() {
                blocks.append(try #require(try frames.allocate(order: order), "top \(top), order \(order)"))
                try frames.check()
            }
            holes.append(try #require(try frames.allocate(order: 0), "the last frame, top \(top)"))
            #expect(try frames.allocate(order: 0) == nil)
            try frames.check()
        }
        for hole in holes { try frames.release(hole) }
        #expect(holes.count == 10)
        try refuseEverythingAboveOneFrame(frames)
        #expect(frames.free.freeBlocks()[0] == 10)
    }

    /// Half of the memory is free, every other frame of it: no two frames can be had together.
    @Test(arguments: [false, true]) func halfFragmented(frameCaches: Bool) throws {
        let frames = try CheckedFrames(arena: Self.section, frameCaches: frameCaches)
        while try frames.allocate(order: 0) != nil {}
        for frame in Self.section where frame % 2 == 1 {
            try frames.release(frame)
            if frame % 64 == 1 { try frames.check() }
        }
        #expect(frames.free.count == 512)
        try refuseEverythingAboveOneFrame(frames)
        // One more frame makes one pair.
        try frames.release(Self.section.lowerBound + 700)
        #expect(try frames.allocate(order: 1) == Self.section.lowerBound + 700)
        try refuseEverythingAboveOneFrame(frames)
    }

    private func refuseEverythingAboveOneFrame(_ frames: CheckedFrames) throws {
        for order in 1...10 {
            #expect(try frames.allocate(order: order) == nil, "order \(order)")
            try frames.check()
        }
        // Neither urgency nor reserves help.
        for flags: AllocationFlags in [.atomic | .noWarn, .kernel | .memoryReserves | .noWarn, .userMovable | .noWarn] {
            #expect(try frames.allocate(order: 1, flags: flags) == nil)
        }
        try frames.check()
    }

    /// One block of each order and one frame more fill memory. Freed in increasing size, each one that is freed makes
    /// a block of the next order, and in the end memory is one block again.
    @Test(arguments: [false, true]) func pessimistic(frameCaches: Bool) throws {
        let frames = try CheckedFrames(arena: Self.section, frameCaches: frameCaches)
        var blocks: [UInt] = []
        for order in 0..<10 {
            blocks.append(try #require(try frames.allocate(order: order)))
            try frames.check()
        }
        let last = try #require(try frames.allocate(order: 0))
        #expect(try frames.allocate(order: 0) == nil)
        try frames.release(last)
        for (index, block) in blocks.enumerated() {
            try frames.release(block)
            try frames.check()
            let larger = try #require(try frames.allocate(order: index + 1), "order \(index + 1)")
            try frames.release(larger)
            try frames.check()
        }
        #expect(try frames.allocate(order: 10) == Self.section.lowerBound)
        try frames.check()
    }

    /// Memory is just one block of each order: all of them can be had, the smallest first, and nothing more. (With frame
    /// caches that need not be: a batch of the small ones may break a large one up.)
    @Test func optimistic() throws {
        // Orders 10 and 9 ... 0: the last section lacks one frame.
        let frames = try CheckedFrames(arena: 1024..<1024 + 2047)
        #expect(frames.free.freeBlocks() == Array(repeating: 1, count: 11))
        for order in 0...10 {
            #expect(try frames.allocate(order: order) != nil, "order \(order)")
            try frames.check()
        }
        #expect(frames.free.count == 0)
        #expect(try frames.allocate(order: 0) == nil)
        for block in frames.live where block.key < 3071 { try frames.release(block.key) }
        #expect(frames.free.freeBlocks() == Array(repeating: 1, count: 11))
        try frames.check()
    }

    /// Memory is filled with blocks of one order, and with smaller ones where that no longer goes; freed at random it
    /// becomes what it was.
    @Test(arguments: [false, true]) func smoke(frameCaches: Bool) throws {
        var generator = SeededGenerator.fromEnvironment(default: 0x5eed_0101)
        // A block of each of several orders at either end.
        let frames = try CheckedFrames(arena: 1024 - 37..<2048 + 413, frameCaches: frameCaches)
        let before = frames.free
        for start in (0...10).shuffled(using: &generator) {
            var order = start
            var blocks: [UInt] = []
            while frames.free.count > 0 {
                if let block = try frames.allocate(order: order) {
                    blocks.append(block)
                } else {
                    order -= 1
                    try #require(order >= 0)
                }
                if blocks.count % 64 == 1 { try frames.check() }
            }
            #expect(try frames.allocate(order: 0) == nil)
            try frames.check()
            for (index, block) in blocks.shuffled(using: &generator).enumerated() {
                try frames.release(block)
                if index % 64 == 1 { try frames.check() }
            }
            try frames.check()
            #expect(frames.free == before)
        }
    }

    /// There are more frames together than the highest order has, and still no order above it: refused at once, by
    /// each way in, and nothing changes.
    @Test func exceedsMaxOrder() throws {
        let frames = try CheckedFrames(arena: 1024..<1024 + 4096)
        for order in [11, 12, 31, 63, 64, -1, .min, .max] {
            for flags: AllocationFlags in [.kernel, .atomic, .kernel | .noFail, .kernel | .memoryReserves] {
                let found = frames.machine.run { $0.allocate(order: order, flags: flags) }
                #expect(found == nil, "order \(order)")
            }
            frames.machine.run { $0.free(PageFrameNumber(1024), order: order) }
            #expect(frames.machine.takeKinds() == [.wrongOrder], "order \(order)")
        }
        try frames.check()
        for _ in 0..<4 { #expect(try frames.allocate(order: 10) != nil) }
        #expect(try frames.allocate(order: 10) == nil)
        try frames.check()
    }

    /// A block begins at a multiple of its size wherever it is put: with memory that begins and ends unaligned, and
    /// small blocks in the way.
    @Test(arguments: 1...10) func offsetAligned(order: Int) throws {
        let size: UInt = 1 << UInt(order)
        let frames = try CheckedFrames(arena: 1024 + 1..<1024 + 4096 - 1)
        // One frame in the way in every other aligned place.
        while try frames.allocate(order: 0) != nil {}
        for frame in frames.arena[0] where frame / size % 2 == 0 || frame % size != size - 1 {
            try frames.release(frame)
        }
        try frames.check()
        var expected = 0
        for start in stride(from: UInt(1024), to: 5120, by: Int(2 * size)) where start != 1024 && start + size < 5120 {
            expected += 1
        }
        var found: [UInt] = []
        while let block = try frames.allocate(order: order) { found.append(block) }
        #expect(found.count == expected)
        #expect(found.allSatisfy { $0 / size % 2 == 0 })
        try frames.check()
        for block in found { try frames.release(block) }
        try frames.check()
    }
}
