import MemoryPrimitives

/// The free blocks of each zone by group and order, and its page blocks by group, in the format of Linux's
/// `/proc/pagetypeinfo`. As with Linux, the group of contiguous areas has a place where there are such areas.
public enum PageTypeInfoReport {
    /// Writes the report; zones without memory are left out.
    ///
    /// - Parameters:
    ///   - source: the page frames.
    ///   - showsContiguous: whether the machine keeps areas for contiguous buffers (`cma=`).
    ///   - writer: where it goes.
    /// - Complexity: O(zones * groups * orders). Callable wherever the source's reports are.
    public static func write(
        _ source: borrowing some ZoneReportSource & ~Copyable, showsContiguous: Bool = false,
        to writer: inout some ReportWriter
    ) {
        writeHeading(&writer)
        for index in 0..<ZoneKind.count {
            if let kind = ZoneKind(rawValue: index) { writeFreeBlocks(kind, source, showsContiguous, &writer) }
        }
        writer.endLine()
        writer.write("Number of blocks type  ")
        for index in 0..<Mobility.count {
            guard let group = group(index, showsContiguous) else { continue }
            writer.write(group.name, width: 12)
            writer.write(" ")
        }
        writer.endLine()
        for index in 0..<ZoneKind.count {
            if let kind = ZoneKind(rawValue: index) { writePageBlocks(kind, source, showsContiguous, &writer) }
        }
    }

    /// A group of page blocks by its number; nil for one that is not shown.
    private static func group(_ index: Int, _ showsContiguous: Bool) -> Mobility? {
        guard let group = Mobility(rawValue: UInt8(truncatingIfNeeded: index)) else { return nil }
        return group == .contiguous && !showsContiguous ? nil : group
    }

    @inline(never)
    private static func writeHeading(_ writer: inout some ReportWriter) {
        writer.write("Page block order: ")
        writer.write(decimal: UInt(ZoneReport.pageBlockOrder))
        writer.endLine()
        writer.write("Pages per block:  ")
        writer.write(decimal: 1 << UInt(ZoneReport.pageBlockOrder))
        writer.endLine()
        writer.endLine()
        writer.write("Free pages count per migrate type at order  ")
        for order in 0...BlockOrder.highest {
            writer.write(decimal: UInt(order), width: 6)
            writer.write(" ")
        }
        writer.endLine()
    }

    @inline(never)
    private static func writeFreeBlocks(
        _ kind: ZoneKind, _ source: borrowing some ZoneReportSource & ~Copyable, _ showsContiguous: Bool,
        _ writer: inout some ReportWriter
    ) {
        let zone = source.report(of: kind)
        guard zone.isPopulated else { return }
        for index in 0..<Mobility.count {
            guard let group = group(index, showsContiguous) else { continue }
            writer.write("Node    0, zone ")
            writer.write(kind.name, width: 8)
            writer.write(", type ")
            writer.write(group.name, width: 12)
            writer.write(" ")
            for order in 0...BlockOrder.highest {
                writer.write(decimal: UInt(zone.freeBlocks[index][order]), width: 6)
                writer.write(" ")
            }
            writer.endLine()
        }
    }

    @inline(never)
    private static func writePageBlocks(
        _ kind: ZoneKind, _ source: borrowing some ZoneReportSource & ~Copyable, _ showsContiguous: Bool,
        _ writer: inout some ReportWriter
    ) {
        let zone = source.report(of: kind)
        guard zone.isPopulated else { return }
        writer.write("Node 0, zone ")
        writer.write(kind.name, width: 8)
        writer.write(" ")
        for index in 0..<Mobility.count {
            guard group(index, showsContiguous) != nil else { continue }
            writer.write(decimal: UInt(zone.pageBlocks[index]), width: 12)
            writer.write(" ")
        }
        writer.endLine()
    }
}
