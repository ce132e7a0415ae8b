import MemoryPrimitives
import PageFrames

/// Who has which page frames, by the calls that were made.
struct FrameModel {
    struct Block: Equatable {
        var frame: UInt
        var order: Int
        /// `allocatedHead`, or what it was claimed as.
        var state: FrameState = .allocatedHead
        var tag: UInt16 = 0
    }

    private(set) var free: FrameSet
    private(set) var blocks: [Block] = []
    var promised: UInt = 0
    let frameCount: UInt

    init(_ ranges: [Range<UInt>]) {
        free = FrameSet(ranges)
        frameCount = free.count
    }

    mutating func allocate(_ frame: UInt, order: Int) throws {
        try require(0...10 ~= order && frame % (1 << UInt(order)) == 0, "frame \(frame) of order \(order)")
        try require(free.holds(frame, order: order), "frame \(frame) of order \(order) was not free")
        free.remove(frame, order: order)
        blocks.append(Block(frame: frame, order: order))
    }

    mutating func free(at index: Int) {
        let block = blocks.remove(at: index)
        free.insert(block.frame, order: block.order)
    }

    mutating func change(at index: Int, _ body: (inout Block) -> Void) { body(&blocks[index]) }

    /// Whether a free block of `order` lies below `end`, which is a multiple of the largest block's size.
    func canServe(order: Int, below end: UInt) -> Bool {
        0...10 ~= order && free.freeBlocks(in: 0..<end)[order...].contains { $0 > 0 }
    }

    /// Why a free is refused; nil where it is not.
    /// - Parameter isKnown: whether the frame has a descriptor.
    func refusal(_ frame: UInt, order: Int, isKnown: Bool) -> MemoryViolation.Kind? {
        if !(0...10 ~= order) { return .wrongOrder }
        if frame % (1 << UInt(order)) != 0 { return .misalignedFree }
        if let block = blocks.first(where: { $0.frame <= frame && frame - $0.frame < 1 << UInt($0.order) }) {
            if block.state != .allocatedHead { return .wildFree }
            if block.frame != frame { return .freeOfTail }
            if block.tag != 0 { return .wildFree }
            return block.order == order ? nil : .wrongOrder
        }
        return isKnown && free.holds(frame, order: 0) ? .doubleFree : .wildFree
    }
}

extension FrameSet {
    /// `contains`, for any frame.
    func holds(_ frame: UInt, order: Int) -> Bool { frame + 1 << UInt(order) <= end && contains(frame, order: order) }
}
