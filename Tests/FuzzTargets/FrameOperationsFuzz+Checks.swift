import MemoryPrimitives
import PageFrames

// What must hold of all frames together, now and in the end.
extension FrameOperationsFuzz {
    func check() throws {
        try frames.value.checkInvariants()
        let free = frames.value.freeFrames
        try require(free == model.free.count, "\(free) frames are free, not \(model.free.count)")
        let promised = frames.value.promisedFrames
        try require(promised == model.promised, "\(promised) frames are promised")
        for block in model.blocks.suffix(64) {
            for index in [block.frame, block.frame + 1 << UInt(block.order) - 1] {
                let covering = frames.value.block(covering: PageFrameNumber(index))
                if block.state != .slab {
                    try require(
                        covering?.head.rawValue == block.frame && covering?.order == block.order
                            && covering?.state == block.state, "frame \(index) does not lead to \(block)")
                }
            }
        }
    }

    mutating func giveEverythingBack() throws {
        frames.value.withdrawPromise(frames: Int(model.promised))
        model.promised = 0
        while let block = model.blocks.last {
            let frame = PageFrameNumber(block.frame)
            if !block.isReferenced { frames.value.release(frame, order: block.order, from: block.state) }
            if block.isReferenced && block.tag != 0 { frames.value.setTag(0, of: frame) }
            for _ in 1..<max(1, block.references) { frames.value.putPage(frame) }
            frames.value.free(frame, order: block.order)
            try expectReports([], "the last free of \(block)")
            model.free(at: model.blocks.count - 1)
        }
        frames.value.drainFrameCaches()
        try check()
        try require(model.free.count == managed, "frames are lost")
        for kind in [ZoneKind.dma, .dma32, .normal] {
            let zone = frames.value.statistics(of: kind)
            let expected = model.free.freeBlocks(in: kind.firstFrame.rawValue..<kind.endFrame.rawValue)
            let found = (0...10).map { zone.freeBlocks[$0] }
            try require(found == expected, "\(kind): free blocks \(found), not \(expected)")
        }
    }
}
