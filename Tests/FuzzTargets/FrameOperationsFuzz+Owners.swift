import MemoryPrimitives
import PageFrames

// Blocks get owners and tags.
extension FrameOperationsFuzz {
    mutating func claim(at index: Int, _ argument: Int) throws {
        guard !model.blocks.isEmpty else { return }
        let index = index % model.blocks.count
        let block = model.blocks[index]
        let state: FrameState = argument & 1 == 0 ? .slab : .table
        let tag = UInt16(argument >> 1 & 1)
        let order = argument < 12 ? block.order : argument - 3
        frames.value.claim(PageFrameNumber(block.frame), order: order, as: state, owner: block.frame, tag: tag)
        let isRight = block.state == .allocatedHead && block.tag == 0 && order == block.order
        try expectReports(isRight ? [] : [.corruption], "claim of \(block)")
        if isRight {
            model.change(at: index) { block in
                block.state = state
                block.tag = tag
            }
        }
    }

    mutating func release(at index: Int, _ argument: Int) throws {
        guard !model.blocks.isEmpty else { return }
        let index = index % model.blocks.count
        let block = model.blocks[index]
        let state: FrameState = argument & 1 == 0 ? .slab : .table
        frames.value.release(PageFrameNumber(block.frame), order: block.order, from: state)
        let isRight = block.state == state
        try expectReports(isRight ? [] : [.corruption], "release of \(block)")
        if isRight {
            model.change(at: index) { block in
                block.state = .allocatedHead
                block.tag = 0
            }
        }
    }

    mutating func setTag(at index: Int, _ argument: Int) throws {
        guard !model.blocks.isEmpty else { return }
        let index = index % model.blocks.count
        let frame = PageFrameNumber(model.blocks[index].frame)
        frames.value.setTag(UInt16(argument & 1), of: frame)
        model.change(at: index) { $0.tag = UInt16(argument & 1) }
        let tag = frames.value.tag(of: frame)
        try require(tag == UInt16(argument & 1), "the tag of \(frame)")
    }
}
