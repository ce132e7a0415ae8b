import MemoryPrimitives

extension PageFrameAllocator {
    /// Writes who has each block that is handed out, in the manner of Linux's `/sys/kernel/debug/page_owner`: nothing
    /// unless `page_owner=on`. Times are cycles, and in place of a process stands the CPU.
    ///
    /// - Complexity: O(managed frames). While other CPUs allocate, blocks that change hands may be missing or twofold.
    public func writePageOwners(to writer: inout some ReportWriter) {
        var frame: UInt = 0
        let end = table.sectionCount << Section.shift
        while frame < end {
            guard table.isInitialized(section: frame >> Section.shift) else {
                frame = (frame >> Section.shift + 1) << Section.shift
                continue
            }
            let descriptor = unsafe table.knownDescriptor(of: UInt32(frame))
            // The table's own descriptor; a snapshot.
            let found = unsafe descriptor.pointee
            if found.state.isHead, found.state != .guardPage { writeOwner(of: PageFrameNumber(frame), to: &writer) }
            frame += found.state.isHead ? 1 << UInt(min(found.order, 10)) : 1
        }
    }

    @inline(never)
    private func writeOwner(of frame: PageFrameNumber, to writer: inout some ReportWriter) {
        guard let history = ownerReport(of: frame), history.isAllocated else { return }
        writer.write("Page allocated via order ")
        writer.write(decimal: UInt(history.order))
        writer.write(", mask ")
        writer.endLine(withAllocationOf: history)
        writer.write("PFN ")
        writer.write(decimal: frame.rawValue)
        writer.write(" type ")
        writer.write(history.flags.mobility.name)
        writer.write(" Block ")
        writer.write(decimal: frame.rawValue >> UInt(PageBlock.order))
        writer.write(" type ")
        writer.write(mobility(ofPageBlockWith: frame).name)
        writer.endLine()
        writer.write(history.allocationTrace)
        writer.endLine()
    }

    private func mobility(ofPageBlockWith frame: PageFrameNumber) -> Mobility {
        zone(of: frame).value.withState { _ in
            table.pageBlock(UInt32(truncatingIfNeeded: frame.rawValue >> UInt(PageBlock.order))).mobility
        }
    }
}
