import FuzzTargets
import MemoryPrimitives

@testable import PageFrames

/// Looks at the allocator from outside, block by block, as the block checker of Linux's GPU buddy tests does:
///
/// - each frame is in a legal state, and so is each block: in use as the test knows, free, or in a frame cache;
/// - a block's size is a power of two and its offset is aligned to its size;
/// - a block's buddy, offset xor size, is not free when the block is: both would be one block;
/// - the sizes of all blocks add up to all memory, and each zone's counts are those of its blocks.
struct BlockChecker {
    private let machine: ScenarioMachine
    private let live: [UInt: Int]
    private let free: FrameSet

    /// - Parameters:
    ///   - live: the blocks that are handed out: orders by first frame.
    ///   - free: the frames that are not.
    init(_ machine: ScenarioMachine, live: [UInt: Int], free: FrameSet) {
        self.machine = machine
        self.live = live
        self.free = free
    }

    func check() throws {
        var totals = Totals()
        for range in machine.handedOver {
            var frame = range.lowerBound
            while frame < range.upperBound {
                let size = try machine.run { try checkBlock(at: frame, in: range, $0, &totals) }
                frame += size
            }
            for neighbour in [range.lowerBound &- 1, range.upperBound] { try checkOutside(neighbour) }
        }
        let blocks = live.values.reduce(UInt(0)) { $0 + 1 << UInt($1) }
        try expect(totals.inUse == blocks, "\(totals.inUse) frames are in use and \(blocks) were handed out")
        try expect(
            totals.inUse + totals.free.reduce(0, +) + totals.cached.reduce(0, +) == machine.handedOverCount,
            "free, cached and used frames do not make up all memory")
        for kind in [ZoneKind.dma, .dma32, .normal] { try check(kind, totals) }
    }

    private struct Totals {
        var inUse: UInt = 0
        /// By zone.
        var free: [UInt] = [0, 0, 0]
        var cached: [UInt] = [0, 0, 0]
        var freeBlocks = Array(repeating: Array(repeating: UInt(0), count: 11), count: 3)
    }

    /// Checks the block or the cached frame at `frame`. - Returns: its size.
    private func checkBlock(
        at frame: UInt, in range: Range<UInt>, _ frames: borrowing Frames, _ totals: inout Totals
    ) throws -> UInt {
        let zone = ZoneKind(of: PageFrameNumber(frame)).rawValue
        let state = frames.state(of: PageFrameNumber(frame))
        switch state {
        case .allocatedHead:
            guard let order = live[frame] else { throw Wrong("nobody was given the block at \(frame)") }
            try checkUsed(frame, order, in: range, frames)
            totals.inUse += 1 << UInt(order)
            return 1 << UInt(order)
        case .free, .absent:
            // A section that has not been brought into use is a free block of the highest order.
            let order = state == .absent ? 10 : frames.table.freeOrder(covering: PageFrameNumber(frame))
            guard let order else { throw Wrong("the free frame \(frame) is in no block") }
            try checkFree(frame, order, in: range, frames, state)
            totals.free[zone] += 1 << UInt(order)
            totals.freeBlocks[zone][order] += 1
            return 1 << UInt(order)
        case .interior:
            try expect(free.contains(frame, order: 0), "frame \(frame) is neither handed out nor free")
            let covering = frames.block(covering: PageFrameNumber(frame))
            try expect(covering == nil, "the cached frame \(frame) lies in a block in use")
            totals.cached[zone] += 1
            return 1
        default:
            throw Wrong("frame \(frame) is in state \(state.name)")
        }
    }

    private func checkUsed(_ frame: UInt, _ order: Int, in range: Range<UInt>, _ frames: borrowing Frames) throws {
        try checkShape(frame, order, in: range)
        try expect(free.isDisjoint(frame, order: order), "the block in use at \(frame) has free frames")
        for index in sample(frame, order) {
            let covering = frames.block(covering: PageFrameNumber(index))
            try expect(
                covering?.head.rawValue == frame && covering?.order == order && covering?.state == .allocatedHead,
                "frame \(index) does not lead to its block's head \(frame), order \(order)")
            let state = frames.state(of: PageFrameNumber(index))
            try expect(index == frame || state == .interior, "a tail is \(state.name)")
        }
    }

    private func checkFree(
        _ frame: UInt, _ order: Int, in range: Range<UInt>, _ frames: borrowing Frames, _ state: FrameState
    ) throws {
        try checkShape(frame, order, in: range)
        try expect(free.contains(frame, order: order), "the free block at \(frame) has frames that are not")
        for index in sample(frame, order) {
            let found = frames.state(of: PageFrameNumber(index))
            let covering = frames.block(covering: PageFrameNumber(index))
            try expect(
                found == state && covering == nil, "frame \(index) of the free block at \(frame) is \(found.name)")
        }
        if order == 10 { return }
        let buddy = PageFrameNumber(frame ^ 1 << UInt(order))
        let buddyState = frames.state(of: buddy)
        if buddyState == .free {
            let buddyOrder = frames.table.freeOrder(covering: buddy)
            try expect(buddyOrder != order, "both halves at \(frame) of order \(order) are free")
        }
    }

    /// A block's first, last and some of its other frames; all of a small one.
    private func sample(_ frame: UInt, _ order: Int) -> [UInt] {
        let size: UInt = 1 << UInt(order)
        if size <= 16 { return Array(frame..<frame + size) }
        return [frame, frame + 1, frame + size / 2 - 1, frame + size / 2, frame + size - 2, frame + size - 1]
    }

    private func checkShape(_ frame: UInt, _ order: Int, in range: Range<UInt>) throws {
        let size: UInt = 1 << UInt(order)
        try expect((0...10).contains(order), "order \(order) at \(frame)")
        try expect(frame % size == 0, "the block at \(frame) is not aligned to order \(order)")
        try expect(frame + size <= range.upperBound, "the block at \(frame), order \(order), leaves its range")
    }

    /// Frames beside the ranges were never the allocator's.
    private func checkOutside(_ frame: UInt) throws {
        let state = machine.run { $0.state(of: PageFrameNumber(frame)) }
        try expect(state == .absent || state == .reserved, "frame \(frame) is \(state.name), and not the allocator's")
    }

    private func check(_ kind: ZoneKind, _ totals: Totals) throws {
        let found = machine.statistics(kind)
        let zone = kind.rawValue
        try expect(found.freeFrames == totals.free[zone], "\(kind): \(found.freeFrames) frames are said to be free")
        try expect(found.cachedFrames == totals.cached[zone], "\(kind): \(found.cachedFrames) frames in caches")
        let counts = (0...10).map { found.freeBlocks[$0] }
        try expect(counts == totals.freeBlocks[zone], "\(kind): free blocks \(counts), not \(totals.freeBlocks[zone])")
    }

    private func expect(_ condition: Bool, _ text: @autoclosure () -> String) throws {
        if !condition { throw Wrong(text()) }
    }
}
