import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import PageFrames

/// Memory is grouped by whether its contents can be moved or given up.
@Suite struct GroupingTests {
    private static let kinds: [AllocationFlags] = [.kernel, .kernel | .movable, .kernel | .reclaimable]

    /// One zone of sixteen sections, less the metadata.
    private func makeMachine(_ options: PageFrameOptions = .exact) throws -> FrameMachine {
        try FrameMachine(memory: [8192..<8192 + 16384], options: options)
    }

    @Test(arguments: PageFrameOptions.combinations)
    func groupsStayApart(options: PageFrameOptions) throws {
        let machine = try makeMachine(options)
        let before = machine.snapshot()
        var generator = SeededGenerator.fromEnvironment(default: 0x5eed_0009)
        var blocks: [Set<UInt>] = [[], [], []]
        var live: [(frame: PageFrameNumber, order: Int)] = []
        for _ in 0..<3000 {
            let kind = Int.random(in: 0..<3, using: &generator)
            let order = Int.random(in: 0...2, using: &generator)
            let frame = try #require(machine.allocate(order: order, flags: Self.kinds[kind]))
            blocks[kind].insert(frame.rawValue >> 9)
            live.append((frame, order))
            #expect(machine.mobility(of: frame).rawValue == kind)
        }
        #expect(blocks.allSatisfy { $0.count > 2 })
        #expect(blocks[0].isDisjoint(with: blocks[1]) && blocks[1].isDisjoint(with: blocks[2]))
        #expect(blocks[0].isDisjoint(with: blocks[2]))
        machine.run { frames in for block in live { frames.free(block.frame, order: block.order) } }
        #expect(machine.snapshot() == before)
        try machine.run { try $0.checkInvariants() }
    }

    /// All frames of the machine, taken for contents of one kind, by page block.
    private func fill(_ machine: FrameMachine, _ flags: AllocationFlags) -> [UInt: [PageFrameNumber]] {
        var all: [PageFrameNumber] = []
        while let frame = machine.allocate(order: 0, flags: flags | .noWarn) { all.append(frame) }
        return Dictionary(grouping: all.sorted()) { $0.rawValue >> 9 }
    }

    /// Half of a page block is enough to make it change sides, less is not.
    @Test(arguments: [255, 256]) func aPageBlockChangesSidesWhenHalfOfItIsFree(freed: Int) throws {
        let machine = try makeMachine()
        let blocks = fill(machine, .kernel | .movable)
        let block = try #require(blocks[20])
        #expect(block.count == 512)
        // Every other frame, so that nothing merges.
        machine.run { frames in for index in 0..<freed { frames.free(block[2 * index], order: 0) } }
        #expect(machine.allocate(order: 0) == block[0])
        #expect(machine.mobility(of: block[0]) == (freed >= 256 ? .unmovable : .movable))
        // What follows of the same kind has its frames there either way; those of the old kind come back to it.
        #expect(machine.allocate(order: 0) == block[2])
        machine.run { $0.free(block[1], order: 0) }
        #expect(machine.mobility(of: block[1]) == (freed >= 256 ? .unmovable : .movable))
        try machine.run { try $0.checkInvariants() }
        // The other half is in use for movable contents, and can be freed all the same.
        machine.run { frames in
            for (_, block) in blocks {
                for frame in block where frames.state(of: frame) == .allocatedHead { frames.free(frame, order: 0) }
            }
        }
        #expect(machine.run { $0.freeFrames } == machine.handedOverCount)
        try machine.run { try $0.checkInvariants() }
        #expect(machine.takeKinds().isEmpty)
    }

    /// A whole page block changes sides for whoever asks.
    @Test func aWholePageBlockIsTakenOver() throws {
        let machine = try makeMachine()
        let blocks = fill(machine, .kernel)
        let block = try #require(blocks[20])
        machine.run { frames in for frame in block { frames.free(frame, order: 0) } }
        #expect(machine.allocate(order: 0, flags: .kernel | .movable) == block[0])
        #expect(machine.mobility(of: block[0]) == .movable)
        // And again, as long as half of it is free.
        #expect(machine.allocate(order: 0, flags: .kernel | .reclaimable) == block[1])
        #expect(machine.mobility(of: block[0]) == .reclaimable)
        try machine.run { try $0.checkInvariants() }
    }

    /// What can be moved fills the smallest gaps that others left; what cannot takes from the largest.
    @Test func movableContentsFillGaps() throws {
        let machine = try makeMachine()
        let blocks = fill(machine, .kernel)
        let small = try #require(blocks[24])
        let large = try #require(blocks[20])
        machine.run { frames in
            for frame in large[..<64] { frames.free(frame, order: 0) }
            frames.free(small[7], order: 0)
        }
        #expect(machine.allocate(order: 0, flags: .kernel | .movable) == small[7])
        #expect(machine.mobility(of: small[7]) == .unmovable)
        #expect(machine.allocate(order: 0, flags: .kernel | .movable) == large[0])
        machine.run { $0.free(small[7], order: 0) }
        // The reclaimable ones look for the largest block and keep to its page blocks.
        #expect(machine.allocate(order: 2, flags: .kernel | .reclaimable) == large[4])
        #expect(machine.mobility(of: large[0]) == .unmovable)
        try machine.run { try $0.checkInvariants() }
    }

    /// A long run, half of it contents that stay: when all that can be moved is gone, most memory is whole again. The
    /// same run without saying which is which leaves next to nothing whole.
    @Test(arguments: [PageFrameOptions.exact, .usual])
    func largeBlocksOutliveALongRun(options: PageFrameOptions) throws {
        let grouped = try wholeBlocks(after: .movable, options)
        let mixed = try wholeBlocks(after: .none, options)
        print("page blocks that are whole: \(grouped) where grouped, \(mixed) where not")
        #expect(grouped > 22)
        #expect(mixed * 3 < grouped)
    }

    /// - Returns: how many page blocks of 2 MiB are free when what can be moved is gone: of about 31.
    private func wholeBlocks(after flags: AllocationFlags, _ options: PageFrameOptions) throws -> UInt {
        var generator = SeededGenerator.fromEnvironment(default: 0x5eed_000a)
        let machine = try makeMachine(options)
        var staying: [PageFrameNumber] = []
        var moving: [PageFrameNumber] = []
        for step in 0..<40000 {
            // One in ten stays, up to an eighth of memory; the rest comes and goes around two thirds of it.
            let stays = step % 10 == 0
            let frame = machine.allocate(order: 0, flags: stays ? .kernel | .noWarn : .kernel | .noWarn | flags)
            if let frame { stays ? staying.append(frame) : moving.append(frame) }
            while moving.count > 10000 || frame == nil && !moving.isEmpty {
                let index = Int.random(in: 0..<moving.count, using: &generator)
                moving.swapAt(index, moving.count - 1)
                machine.run { $0.free(moving.removeLast(), order: 0) }
                if frame == nil { break }
            }
            if staying.count > 2000 {
                let index = Int.random(in: 0..<staying.count, using: &generator)
                staying.swapAt(index, staying.count - 1)
                machine.run { $0.free(staying.removeLast(), order: 0) }
            }
        }
        machine.run { frames in for frame in moving { frames.free(frame, order: 0) } }
        _ = machine.snapshot()
        try machine.run { try $0.checkInvariants() }
        let zone = machine.statistics(.dma32)
        return zone.freeBlocks[9] + 2 * zone.freeBlocks[10]
    }
}
