import MemoryPrimitives
import PageFrames
import SimulatedMachine

// Blocks are allocated and freed, rightly and wrongly.
extension FrameOperationsFuzz {
    mutating func allocate(order: Int, _ flags: AllocationFlags) throws {
        if let frame = frames.value.allocate(order: order, flags: flags | .noWarn) {
            return try noteAllocation(of: frame, order: order, flags, isCompound: flags.contains(.compound))
        }
        try requireShortage(order: order, flags)
    }

    /// Looks at a block that was handed out for `flags`, and notes it down.
    mutating func noteAllocation(
        of frame: PageFrameNumber, order: Int, _ flags: AllocationFlags, isCompound: Bool = false
    ) throws {
        try model.allocate(frame.rawValue, order: order, isCompound: isCompound)
        if flags.contains(.zero) { try requireZero(frame, order: order) }
        let end =
            flags.contains(.dma) ? ZoneKind.dma.endFrame : flags.contains(.dma32) ? ZoneKind.dma32.endFrame : nil
        if let end { try require(frame < end, "frame \(frame) for a device that cannot reach it") }
        // What the block's last owner left, for the next one that wants zeroes.
        unsafe Self.machine.arena.directMap.pointer(to: frame).storeBytes(of: 1, as: UInt8.self)
    }

    /// A request has been refused: there must have been nothing for it.
    func requireShortage(order: Int, _ flags: AllocationFlags) throws {
        if keepsReserve || model.promised > 0 { return }
        let end = flags.contains(.dma) ? ZoneKind.dma.endFrame.rawValue : UInt.max
        try require(!model.canServe(order: order, below: end), "order \(order) is refused with memory free")
    }

    private func requireZero(_ frame: PageFrameNumber, order: Int) throws {
        // The block is ours.
        for index in 0..<UInt(1) << UInt(order) {
            let byte = unsafe Self.machine.arena.directMap.pointer(to: frame + index).load(as: UInt8.self)
            try require(byte == 0, "frame \(frame) is not cleared")
        }
    }

    mutating func free(at index: Int) throws {
        guard !model.blocks.isEmpty else { return }
        let block = model.blocks[index % model.blocks.count]
        try free(block.frame, order: block.order)
    }

    /// Frees a frame beside or within a block, or a block with another order.
    mutating func freeNearBlock(_ argument: Int) throws {
        let index = Int(input.byte())
        guard !model.blocks.isEmpty else { return }
        let block = model.blocks[index % model.blocks.count]
        let size: UInt = 1 << UInt(block.order)
        switch argument & 3 {
        case 0: try free(block.frame, order: argument)
        case 1: try free(block.frame + size / 2, order: argument >> 2)
        case 2: try free(block.frame + size, order: block.order)
        default: try free(block.frame ^ size, order: block.order)
        }
    }

    /// Frees any frame, as any order, and expects what the record says.
    mutating func free(_ frame: UInt, order: Int) throws {
        let isKnown = frames.value.state(of: PageFrameNumber(frame)) != .absent
        let refusal = model.refusal(frame, order: order, isKnown: isKnown)
        frames.value.free(PageFrameNumber(frame), order: order)
        try expectReports(refusal.map { [$0] } ?? [], "free of \(frame), order \(order)")
        guard refusal == nil else { return }
        model.dropReference(at: model.blocks.firstIndex { $0.frame == frame }!)
    }
}
