import MemoryPrimitives

extension PageFrameAllocator {
    /// Writes where a frame that the table knows lies: its zone, its page block, and what that is kept for.
    ///
    ///     zone DMA32, page block 31 (Movable)
    /// - Complexity: O(1). Takes the zone's lock: not for callers that hold it.
    @inline(never)
    public func writePlace(of frame: PageFrameNumber, to writer: inout some ReportWriter) {
        let zone = zone(of: frame)
        writer.write("zone ")
        writer.write(zone.value.kind.name)
        let number = UInt32(truncatingIfNeeded: frame.rawValue >> UInt(PageBlock.order))
        writer.write(", page block ")
        writer.write(decimal: UInt(number))
        if table.isInitialized(section: frame.rawValue >> Section.shift) {
            let mobility = zone.value.withState { _ in table.pageBlock(number).mobility }
            writer.write(" (")
            writer.write(mobility.name)
            writer.write(")")
        } else {
            writer.write(", not brought into use yet")
        }
        writer.endLine()
    }

    /// The frame whose descriptor lies at an address; nil where none does.
    /// - Complexity: O(sections).
    public func frame(ofDescriptorAt address: UInt) -> PageFrameNumber? {
        for section in 0..<table.sectionCount where table.isInitialized(section: section) {
            let first = section << Section.shift
            // The section has descriptors, as the condition says.
            let start = UInt(bitPattern: unsafe table.knownDescriptor(of: UInt32(truncatingIfNeeded: first)))
            let size = UInt(MemoryLayout<FrameDescriptor>.stride)
            let index = (address &- start) / size
            if address >= start, index < Section.frameCount { return PageFrameNumber(first + index) }
        }
        return nil
    }
}
