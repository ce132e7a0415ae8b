import MemoryPrimitives

// What a report of a violation says about the frame: Linux's `dump_page` and `dump_page_owner`.
extension PageFrameAllocator {
    /// Writes a frame's state, the block that it lies in, and where `page_owner=on` its history.
    ///
    /// - Complexity: O(orders). Takes the zone's lock: not for callers that hold it.
    @inline(never)
    public func writeReport(on frame: PageFrameNumber, to writer: inout some ReportWriter) {
        writer.write("page: pfn:0x")
        writer.write(hex: frame.rawValue)
        writer.write(" state:")
        writer.write(state(of: frame).name)
        if let descriptor = unsafe descriptor(of: frame) {
            // The table's own descriptor; a snapshot.
            let found = unsafe descriptor.pointee
            writer.write(" refcount:")
            writer.write(decimal: found.state.isHead ? UInt(found.extraReferences) + 1 : 0)
            writer.write(" tag:0x")
            writer.write(hex: UInt(found.tag))
            writer.write(" owner:0x")
            writer.write(hex: found.owner)
        }
        writer.endLine()
        if let block = block(covering: frame) {
            writer.write("block: head pfn:0x")
            writer.write(hex: block.head.rawValue)
            writer.write(" order:")
            writer.write(decimal: UInt(block.order))
            writer.write(" state:")
            writer.write(block.state.name)
            writer.endLine()
        }
        writeHistory(of: frame, to: &writer)
    }

    /// Writes who allocated a frame and who freed it last.
    @inline(never)
    private func writeHistory(of frame: PageFrameNumber, to writer: inout some ReportWriter) {
        guard checks.active.contains(.owners) else { return }
        guard let history = ownerReport(of: frame) else {
            writer.write("page_owner info is not present (never set?)")
            return writer.endLine()
        }
        writer.write("page_owner tracks the page as ")
        writer.write(history.isAllocated ? "allocated" : "freed")
        writer.endLine()
        writer.write("page last allocated via order ")
        writer.write(decimal: UInt(history.order))
        writer.write(", migratetype ")
        writer.write(history.flags.mobility.name)
        writer.write(", gfp_mask ")
        writer.endLine(withAllocationOf: history)
        writer.write(history.allocationTrace)
        if history.freeTime == 0 {
            writer.write("page_owner free stack trace missing")
            return writer.endLine()
        }
        writer.write("page last free stack trace:")
        writer.endLine()
        writer.write(history.freeTrace)
    }
}

extension ReportWriter {
    /// Ends a line with how and when a frame was allocated, and when it was freed: what both reports of Linux end one with.
    @inline(never)
    mutating func endLine(withAllocationOf history: borrowing FrameHistory) {
        write(mode: history.flags)
        write(", cpu ")
        write(decimal: UInt(history.allocatingCPU))
        write(", ts ")
        write(decimal: UInt(history.allocationTime))
        write(", free_ts ")
        write(decimal: UInt(history.freeTime))
        endLine()
    }
}
