import MemoryPrimitives
import Synchronization

// A block may be used by several at once. Each has a reference, and the last to drop its own frees the block.
//
//     allocate: 1 --getPage--> n+1 --putPage or free--> n --> ... 1 --putPage or free--> 0: free
//
// A compound block is one unit: each of its frames stands for its head. Of any other block of several frames only the
// head can be referenced. Where such a reference outlives the free, the frames behind the head are free at once, and the
// head stays as a block of one frame: whoever has the reference asked for the one page that he knew of.
//
// A block that is claimed as a slab or a page table takes no new references. Those that there are stay until they are
// dropped, and count again when the claim ends.
extension PageFrameAllocator {
    /// Adds a reference to a block in use, by its first frame, or by any frame of a compound block.
    ///
    /// A frame that is free, is not the first of its block, or belongs to a slab or a page table is an error, and so is
    /// one reference more than can be counted: reported as `badReference`, and nothing changes.
    ///
    /// - Complexity: O(1); O(orders) from a frame of a compound block other than its first.
    @inline(__always)
    public func getPage(_ frame: PageFrameNumber) {
        if !tryGetPage(frame) { reportBadReference(frame, in: "get_page") }
    }

    /// As `getPage`, for who does not know whether the frame is still in use: a speculative reference.
    ///
    /// - Returns: false, with nothing changed, where `getPage` would report an error. On true the caller has a reference
    ///   to whatever block the frame belongs to now, and must see whether it is the one that was meant.
    @inline(__always)
    public func tryGetPage(_ frame: PageFrameNumber) -> Bool {
        let head = countedFrame(of: frame)
        guard let descriptor = unsafe table.descriptor(of: head) else { return false }
        // The table's own descriptor, which is never given back.
        var use = FrameUse(unsafe descriptor.use.pointee.load(ordering: .relaxed))
        while use.isReferenced, use.count != .max, frame.rawValue &- head.rawValue < 1 << UInt(use.order) {
            let (isExchanged, found) = unsafe descriptor.use.pointee.weakCompareExchange(
                expected: use.bits, desired: use.bits &+ FrameUse.reference, successOrdering: .acquiring,
                failureOrdering: .relaxed)
            if isExchanged { return true }
            use = FrameUse(found)
        }
        return false
    }

    /// Drops a reference to a block in use, named as in `getPage`; the last one frees the block, whatever its order.
    ///
    /// What is an error for `free` is one here: reported, and nothing changes.
    ///
    /// - Complexity: as of `free`; O(orders) from a frame of a compound block other than its first.
    @inline(__always)
    public func putPage(_ frame: PageFrameNumber) {
        let head = countedFrame(of: frame)
        if makeUnused(head, order: 0) {
            putCached(head, order: 0)
        } else {
            putPageSlow(head)
        }
    }

    /// The references to the block that `frame` is the first of, or that is compound and that it lies in; else 0. A
    /// slab and a page table count none. A snapshot. - Complexity: as of `getPage`.
    @inline(__always)
    public func referenceCount(of frame: PageFrameNumber) -> UInt32 {
        guard let descriptor = unsafe table.descriptor(of: countedFrame(of: frame)) else { return 0 }
        // The table's own descriptor, which is never given back.
        return FrameUse(unsafe descriptor.use.pointee.load(ordering: .relaxed)).count
    }

    /// The compound block in use that `frame` lies in, at whatever place; nil where there is none. A snapshot, unless
    /// the caller has a reference. - Complexity: O(orders).
    @inline(__always)
    public func compoundBlock(of frame: PageFrameNumber) -> (head: PageFrameNumber, order: Int)? {
        let found = table.head(covering: frame)
        return found.state == .compoundHead ? (found.frame, found.order) : nil
    }

    /// Where the references to a frame's block are counted.
    @inline(__always)
    private func countedFrame(of frame: PageFrameNumber) -> PageFrameNumber {
        guard let descriptor = unsafe table.descriptor(of: frame) else { return frame }
        // The table's own descriptor, which is never given back.
        if FrameUse(unsafe descriptor.use.pointee.load(ordering: .relaxed)).state != .interior { return frame }
        return compoundBlock(of: frame)?.head ?? frame
    }

    @inline(never)
    private func putPageSlow(_ head: PageFrameNumber) {
        guard let descriptor = unsafe table.descriptor(of: head) else { return reportBadPut(head) }
        while true {
            // The table's own descriptor, which is never given back.
            let use = FrameUse(unsafe descriptor.use.pointee.load(ordering: .relaxed))
            let isLast = use.count == 1
            guard use.isReferenced && (!isLast || use.tag == 0) || use.isClaimedWithReferences else {
                return reportBadPut(head)
            }
            if !exchange(head, use, for: isLast ? FrameDescriptor.unused : use.bits &- FrameUse.reference) { continue }
            if isLast { putSlow(UInt32(truncatingIfNeeded: head.rawValue), order: use.order) }
            return
        }
    }

    /// Drops one reference to a block of `order`, and frees what nobody needs any longer: the work of `free`, for every
    /// block that may be freed.
    ///
    /// - Returns: false, with nothing changed, for everything else.
    func dropReference(_ head: PageFrameNumber, order: Int) -> Bool {
        guard let descriptor = unsafe table.descriptor(of: head) else { return false }
        while true {
            // The table's own descriptor, which is never given back.
            let use = FrameUse(unsafe descriptor.use.pointee.load(ordering: .relaxed))
            guard use.isReferenced, use.order == order, use.tag == 0 else { return false }
            let number = UInt32(truncatingIfNeeded: head.rawValue)
            if use.count == 1 {
                if !exchange(head, use, for: FrameDescriptor.unused) { continue }
                putSlow(number, order: order)
            } else if use.state == .compoundHead {
                if !exchange(head, use, for: use.bits &- FrameUse.reference) { continue }
            } else {
                if checks.areActive { dropGuard(of: head, order: order) }
                if !exchange(head, use, for: use.asSingleFrame.bits &- FrameUse.reference) { continue }
                for tail in 0..<order { putSlow(number | 1 << UInt32(tail), order: tail) }
            }
            return true
        }
    }

    /// Changes what a frame is used for, unless it has been changed since `use` was read.
    func exchange(_ frame: PageFrameNumber, _ use: FrameUse, for desired: UInt64) -> Bool {
        // Only frames whose use was read come here, and those have descriptors.
        let descriptor = unsafe table.knownDescriptor(of: UInt32(truncatingIfNeeded: frame.rawValue))
        return unsafe descriptor.use.pointee.compareExchange(
            expected: use.bits, desired: desired, ordering: .acquiringAndReleasing
        ).exchanged
    }

    @inline(never)
    private func reportBadPut(_ frame: PageFrameNumber) { reportMisuse(of: frame, order: 0, in: "put_page") }

    /// Reports why a frame cannot be freed as a block of `order`, as found by `call`.
    @inline(never)
    func reportMisuse(of frame: PageFrameNumber, order: Int, in call: StaticString) {
        var violation = zone(of: frame).value.withState { _ in table.diagnoseFree(frame, order: order) }
        violation.call = call
        P.report(violation)
    }

    @inline(never)
    private func reportBadReference(_ frame: PageFrameNumber, in call: StaticString) {
        let isFull = referenceCount(of: frame) == .max
        let detail: StaticString =
            isFull ? "the block has as many references as can be counted" : "no block begins here that has references"
        P.report(MemoryViolation(.badReference, in: call, at: frame.rawValue << PageSize.shift, detail))
    }
}
