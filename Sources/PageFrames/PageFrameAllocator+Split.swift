import MemoryPrimitives
import Synchronization

extension PageFrameAllocator {
    /// Makes a block that the caller has 2^`order` blocks of one frame, each to be freed by itself. Linux's `split_page`.
    ///
    /// The first keeps the references that the block has, each of the others has one. A block that is compound, claimed,
    /// or was not allocated with `order` is an error: reported as `free` would, and nothing changes.
    ///
    /// - Parameters:
    ///   - frame: the block's first.
    ///   - order: what the block was allocated with.
    /// - Returns: whether the block is split.
    /// - Complexity: O(frames).
    @discardableResult
    public func split(_ frame: PageFrameNumber, order: Int) -> Bool {
        guard 0 <= order, order <= BlockOrder.highest, let descriptor = unsafe table.descriptor(of: frame) else {
            reportMisuse(of: frame, order: order, in: "split_page")
            return false
        }
        while true {
            // The table's own descriptor, which is never given back.
            let use = FrameUse(unsafe descriptor.use.pointee.load(ordering: .relaxed))
            guard use.isReferenced, use.state == .allocatedHead, use.order == order, use.tag == 0 else {
                reportMisuse(of: frame, order: order, in: "split_page")
                return false
            }
            if checks.areActive { dropGuard(of: frame, order: order) }
            if exchange(frame, use, for: use.asSingleFrame.bits) { break }
        }
        markSingleFrames(frame + 1, count: 1 << UInt(order) - 1)
        return true
    }

    /// Makes the head of a block that the caller has a block of one frame. What lies behind it is then the caller's to mark.
    func keepHeadAlone(_ head: PageFrameNumber) {
        // The caller's block has a descriptor.
        let descriptor = unsafe table.knownDescriptor(of: UInt32(truncatingIfNeeded: head.rawValue))
        while true {
            // References that others take or drop meanwhile (see `tryGetPage`) count.
            let use = FrameUse(unsafe descriptor.use.pointee.load(ordering: .relaxed))
            if exchange(head, use, for: use.asSingleFrame.bits) { return }
        }
    }

    /// Marks frames that are nobody else's as blocks of one frame with one reference.
    func markSingleFrames(_ first: PageFrameNumber, count: UInt) {
        for index in 0..<count {
            // The frames are the caller's, and have descriptors.
            let descriptor = unsafe table.knownDescriptor(of: UInt32(truncatingIfNeeded: first.rawValue &+ index))
            unsafe descriptor.pointee.owner = 0
            unsafe descriptor.use.pointee.store(FrameDescriptor.use(.allocatedHead, order: 0), ordering: .relaxed)
        }
    }
}
