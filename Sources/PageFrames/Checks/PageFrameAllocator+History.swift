import MemoryPrimitives

// `page_owner=on`: who allocated each block, and who freed it last.
extension PageFrameAllocator {
    /// Who has or last had `frame`; nil where that is not noted down, or it was never handed out. A snapshot, unless the
    /// caller has the frame. - Complexity: O(1). Callable from any context; takes no lock.
    public func ownerReport(of frame: PageFrameNumber) -> FrameHistory? {
        guard let number = UInt32(exactly: frame.rawValue) else { return nil }
        return checks.table.history(of: number)
    }

    /// Notes the caller down as the owner of each frame of a block. - Complexity: O(frames).
    @inline(never)
    func noteAllocation(_ frame: UInt32, order: Int, _ flags: AllocationFlags) {
        guard let entries = unsafe checks.table.entries(of: frame) else { return }
        var trace = StackTrace()
        P.captureTrace(into: &trace)
        let time = P.cycleCounter
        let cpu = UInt16(truncatingIfNeeded: P.currentCPU)
        for index in 0..<1 << order {
            // The block's entries follow each other, and are the caller's as the block is.
            unsafe entries[index].isKnown = true
            unsafe entries[index].isAllocated = true
            unsafe entries[index].order = UInt8(truncatingIfNeeded: order)
            unsafe entries[index].allocatingCPU = cpu
            unsafe entries[index].flags = flags
            unsafe entries[index].allocationTime = time
            unsafe entries[index].allocationTrace = trace
        }
    }

    /// Notes the caller down as who freed each frame of a block. - Complexity: O(frames).
    @inline(never)
    func noteFree(_ frame: UInt32, order: Int) {
        guard let entries = unsafe checks.table.entries(of: frame) else { return }
        var trace = StackTrace()
        P.captureTrace(into: &trace)
        let time = P.cycleCounter
        let cpu = UInt16(truncatingIfNeeded: P.currentCPU)
        for index in 0..<1 << order {
            // As above: the block is not in its zone yet.
            unsafe entries[index].isAllocated = false
            unsafe entries[index].freeingCPU = cpu
            unsafe entries[index].freeTime = time
            unsafe entries[index].freeTrace = trace
        }
    }
}
