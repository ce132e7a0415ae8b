import MemoryPrimitives
import PageFrames

/// Who has which page frames, by the calls that were made.
struct FrameModel {
    struct Block: Equatable {
        var frame: UInt
        var order: Int
        /// `allocatedHead`, `compoundHead`, or what it was claimed as.
        var state: FrameState = .allocatedHead
        var tag: UInt16 = 0
        var references: UInt = 1

        /// False for a slab and a page table.
        var isReferenced: Bool { state == .allocatedHead || state == .compoundHead }
    }

    private(set) var free: FrameSet
    private(set) var blocks: [Block] = []
    var promised: UInt = 0
    let frameCount: UInt

    init(_ ranges: [Range<UInt>]) {
        free = FrameSet(ranges)
        frameCount = free.count
    }

    mutating func allocate(_ frame: UInt, order: Int, isCompound: Bool = false) throws {
        try require(0...10 ~= order && frame % (1 << UInt(order)) == 0, "frame \(frame) of order \(order)")
        try require(free.holds(frame, order: order), "frame \(frame) of order \(order) was not free")
        free.remove(frame, order: order)
        blocks.append(Block(frame: frame, order: order, state: isCompound ? .compoundHead : .allocatedHead))
    }

    mutating func free(at index: Int) {
        let block = blocks.remove(at: index)
        free.insert(block.frame, order: block.order)
    }

    /// A reference is dropped with the block's order: behind the head of a block that is not compound all is free then.
    mutating func dropReference(at index: Int) {
        let block = blocks[index]
        if block.references == 1 { return free(at: index) }
        blocks[index].references -= 1
        if block.state == .compoundHead { return }
        blocks[index].order = 0
        for tail in 0..<block.order { free.insert(block.frame + 1 << UInt(tail), order: tail) }
    }

    /// Makes a block blocks of one frame. The first keeps the references.
    mutating func split(at index: Int) {
        let size: UInt = 1 << UInt(blocks[index].order)
        blocks[index].order = 0
        for offset in 1..<max(1, size) { blocks.append(Block(frame: blocks[index].frame + offset, order: 0)) }
    }

    /// The block whose references a frame stands for: the one it is the first of, or the compound one that it lies in.
    func indexOfBlock(countedAt frame: UInt) -> Int? {
        blocks.firstIndex { block in
            let size: UInt = block.state == .compoundHead ? 1 << UInt(block.order) : 1
            return block.frame <= frame && frame - block.frame < size
        }
    }

    /// Whether a frame is a block of its own that may be freed, once or to drop a reference.
    func isSingleFrame(_ frame: UInt) -> Bool {
        blocks.contains { $0.frame == frame && $0.order == 0 && $0.state == .allocatedHead && $0.tag == 0 }
    }

    /// Whether all frames of a range are free.
    func areFree(_ range: Range<UInt>) -> Bool {
        range.upperBound <= free.end && range.allSatisfy { free.contains($0, order: 0) }
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
            if !block.isReferenced { return .wildFree }
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
