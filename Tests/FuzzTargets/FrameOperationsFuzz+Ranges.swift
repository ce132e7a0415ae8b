import MemoryPrimitives
import PageFrames

// Many single frames at once: in bulk, as many as some bytes need, and at a certain place.
extension FrameOperationsFuzz {
    mutating func allocateBulk(count: Int, _ flags: AllocationFlags) throws {
        var list = [PageFrameNumber](repeating: PageFrameNumber(0), count: count)
        let filled = unsafe list.withUnsafeMutableBufferPointer { buffer in
            unsafe frames.value.allocateBulk(into: buffer, flags: flags | .noWarn)
        }
        for frame in list[..<filled] {
            try noteAllocation(of: frame, order: 0, flags, isCompound: flags.contains(.compound))
        }
        if filled < count { try requireShortage(order: 0, flags) }
    }

    mutating func allocateExact(byteCount: UInt, _ flags: AllocationFlags) throws {
        let first = frames.value.allocateExact(byteCount: byteCount, flags: flags | .noWarn)
        let count = (byteCount + PageSize.byteCount - 1) / PageSize.byteCount
        guard let first else {
            return try requireShortage(order: UInt.bitWidth - (count - 1).leadingZeroBitCount, flags)
        }
        for index in 0..<count { try noteAllocation(of: first + index, order: 0, flags) }
    }

    mutating func allocateContiguous(_ first: UInt, count: UInt) throws {
        let range = PageFrameNumber(first)..<PageFrameNumber(first + count)
        let flags = anyFlags() | .noWarn
        let areFree = count > 0 && model.areFree(first..<first + count)
        do throws(ContiguousError) {
            try frames.value.allocateContiguous(range, flags: flags)
        } catch {
            let isRight = !areFree || error == .promised && model.promised > 0
            return try require(isRight, "frames \(range), which are free: \(error)")
        }
        try require(areFree, "frames \(range), which are not all free, are handed out")
        for frame in first..<first + count {
            // The flags' zones do not matter: the place does.
            try noteAllocation(
                of: PageFrameNumber(frame), order: 0, flags.contains(.zero) ? .noWait | .zero : .noWait)
        }
    }

    /// Frees frames that follow each other, by either of two calls.
    mutating func freeRange(_ first: UInt, count: UInt, _ argument: Int) throws {
        var refusal: MemoryViolation.Kind?
        for frame in first..<first + count {
            if model.isSingleFrame(frame) { continue }
            let isKnown = frames.value.state(of: PageFrameNumber(frame)) != .absent
            refusal = model.refusal(frame, order: 0, isKnown: isKnown) ?? .wrongOrder
            break
        }
        if argument & 1 == 0 {
            frames.value.freeExact(PageFrameNumber(first), byteCount: count * PageSize.byteCount)
        } else {
            let isFreed = frames.value.freeContiguous(PageFrameNumber(first)..<PageFrameNumber(first + count))
            try require(isFreed == (refusal == nil), "freeContiguous of \(count) frames from \(first): \(isFreed)")
        }
        try expectReports(refusal.map { [$0] } ?? [], "free of \(count) frames from \(first)")
        guard refusal == nil else { return }
        for frame in first..<first + count {
            model.dropReference(at: model.blocks.firstIndex { $0.frame == frame }!)
        }
    }
}
