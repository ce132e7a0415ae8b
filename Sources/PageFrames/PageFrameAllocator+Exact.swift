import MemoryPrimitives
import Synchronization

// Buffers of any size up to 4 MiB, which take no more frames than they need.
extension PageFrameAllocator {
    /// Allocates frames that follow each other, enough for `byteCount` bytes and no more: a block is taken, and what of
    /// it is not needed is given back at once.
    ///
    /// The frames are blocks of one frame with one reference each; `freeExact` frees them together.
    ///
    /// - Parameters:
    ///   - byteCount: 1 byte to 4 MiB.
    ///   - flags: as of `allocate`; `.compound` is passed over, because the frames are no unit.
    /// - Returns: the first frame; nil where there is no block, for 0 bytes, and for more than 4 MiB.
    /// - Complexity: O(frames).
    public func allocateExact(byteCount: UInt, flags: AllocationFlags = .kernel) -> PageFrameNumber? {
        guard 0 < byteCount, byteCount <= Section.byteCount else { return nil }
        let count = pageCount(forBytes: byteCount)
        let order = UInt.bitWidth - (count - 1).leadingZeroBitCount
        let passedOver = AllocationFlags.compound | .zero
        guard
            let first = allocate(order: order, flags: AllocationFlags(rawValue: flags.rawValue & ~passedOver.rawValue))
        else { return nil }
        if checks.areActive { dropGuard(of: first, order: order) }
        keepHeadAlone(first)
        markSingleFrames(first + 1, count: count - 1)
        putUnused(first + count, first + (1 << UInt(order)))
        // Only what is kept: the block is RAM that the direct map covers.
        if flags.contains(.zero) { unsafe P.clearPages(directMap.pointer(to: first), count: Int(count)) }
        return first
    }

    /// Frees what `allocateExact` returned, by the same number of bytes.
    ///
    /// A frame among them that is not a block of one frame is an error: the first is reported, and nothing changes.
    /// A frame that has more references stays until the last one goes. Zero bytes are none.
    ///
    /// - Complexity: O(frames).
    public func freeExact(_ first: PageFrameNumber, byteCount: UInt) {
        guard byteCount > 0 else { return }
        let count = pageCount(forBytes: byteCount)
        let (end, isOverflow) = first.rawValue.addingReportingOverflow(count)
        if isOverflow {
            return P.report(
                MemoryViolation(
                    .wildFree, in: "free_pages_exact", at: first.address.rawValue, "there is no such memory"))
        }
        freeSingleFrames(first, PageFrameNumber(end), in: "free_pages_exact")
    }

    /// Frees blocks of one frame that follow each other: all, or on an error none.
    /// - Returns: whether there was no error. - Complexity: O(frames).
    @discardableResult
    func freeSingleFrames(_ first: PageFrameNumber, _ end: PageFrameNumber, in call: StaticString) -> Bool {
        var frame = first
        while frame < end {
            guard let use = singleFrameUse(of: frame), use.tag == 0 else {
                reportMisuse(of: frame, order: 0, in: call)
                return false
            }
            frame = frame + 1
        }
        // Frames that become unused side by side go back together, as large blocks.
        var unused = first
        frame = first
        while frame < end {
            if !makeUnused(frame, order: 0) {
                putUnused(unused, frame)
                freeSlow(frame, order: 0)
                unused = frame + 1
            }
            frame = frame + 1
        }
        putUnused(unused, end)
        return true
    }

    /// What a frame is used for that is a block of its own; nil for any other.
    func singleFrameUse(of frame: PageFrameNumber) -> FrameUse? {
        guard let descriptor = unsafe table.descriptor(of: frame) else { return nil }
        // The table's own descriptor, which is never given back.
        let use = FrameUse(unsafe descriptor.use.pointee.load(ordering: .relaxed))
        return use.isReferenced && use.state == .allocatedHead && use.order == 0 ? use : nil
    }

    /// Gives frames that are the caller's and marked as nobody's to their zones, as the largest blocks that fit.
    func putUnused(_ first: PageFrameNumber, _ end: PageFrameNumber) {
        var frame = first.rawValue
        while frame < end.rawValue {
            let fitting = UInt.bitWidth - 1 - (end.rawValue - frame).leadingZeroBitCount
            let order = min(frame.trailingZeroBitCount, fitting, BlockOrder.highest)
            putSlow(UInt32(truncatingIfNeeded: frame), order: order)
            frame += 1 << UInt(order)
        }
    }
}
