import MemoryPrimitives
import PageFrames

// Several use a block at once, and blocks are split.
extension FrameOperationsFuzz {
    /// A block's first frame, another of its frames, one beside it, or any frame.
    mutating func nearBlock(_ argument: Int) -> UInt {
        let index = Int(input.byte())
        if model.blocks.isEmpty || argument == 15 { return anywhere() }
        let block = model.blocks[index % model.blocks.count]
        let size: UInt = 1 << UInt(block.order)
        return argument < 10 ? block.frame : argument == 14 ? block.frame + size : block.frame + UInt(index) % size
    }

    mutating func getPage(_ frame: UInt) throws {
        frames.value.getPage(PageFrameNumber(frame))
        let index = model.indexOfBlock(countedAt: frame)
        let isRight = index.map { model.blocks[$0].isReferenced } ?? false
        try expectReports(isRight ? [] : [.badReference], "getPage of \(frame)")
        if isRight { try changeReferences(at: index!, by: 1) }
    }

    mutating func tryGetPage(_ frame: UInt) throws {
        let isTaken = frames.value.tryGetPage(PageFrameNumber(frame))
        let index = model.indexOfBlock(countedAt: frame)
        let isRight = index.map { model.blocks[$0].isReferenced } ?? false
        try require(isTaken == isRight, "tryGetPage of \(frame): \(isTaken)")
        if isRight { try changeReferences(at: index!, by: 1) }
    }

    mutating func putPage(_ frame: UInt) throws {
        let index = model.indexOfBlock(countedAt: frame)
        let block = index.map { model.blocks[$0] }
        let isKnown = frames.value.state(of: PageFrameNumber(frame)) != .absent
        let isRight = block.map { $0.references > 1 || $0.isReferenced && $0.tag == 0 } ?? false
        let refusal = isRight ? nil : model.refusal(block?.frame ?? frame, order: 0, isKnown: isKnown) ?? .wrongOrder
        frames.value.putPage(PageFrameNumber(frame))
        try expectReports(refusal.map { [$0] } ?? [], "putPage of \(frame)")
        guard isRight, let index, let block else { return }
        if block.references > 1 { try changeReferences(at: index, by: -1) } else { model.free(at: index) }
    }

    private mutating func changeReferences(at index: Int, by difference: Int) throws {
        model.change(at: index) { $0.references = UInt(Int($0.references) + difference) }
        let block = model.blocks[index]
        let found = frames.value.referenceCount(of: PageFrameNumber(block.frame))
        try require(UInt(found) == (block.isReferenced ? block.references : 0), "\(found) references to \(block)")
    }

    mutating func split(at index: Int, _ argument: Int) throws {
        guard !model.blocks.isEmpty else { return }
        let index = index % model.blocks.count
        let block = model.blocks[index]
        let order = argument < 12 ? block.order : argument - 4
        let isRight = order == block.order && block.state == .allocatedHead && block.tag == 0
        let refusal = isRight ? nil : model.refusal(block.frame, order: order, isKnown: true) ?? .wrongOrder
        let isSplit = frames.value.split(PageFrameNumber(block.frame), order: order)
        try expectReports(refusal.map { [$0] } ?? [], "split of \(block)")
        try require(isSplit == isRight, "split of \(block): \(isSplit)")
        if isRight { model.split(at: index) }
    }
}
