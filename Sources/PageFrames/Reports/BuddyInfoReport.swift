import MemoryPrimitives

/// The free blocks of each zone by order, in the format of Linux's `/proc/buddyinfo`.
public enum BuddyInfoReport {
    /// Writes a line for each zone that has memory.
    ///
    /// - Complexity: O(zones * groups * orders). Callable wherever the source's reports are.
    public static func write(
        _ source: borrowing some ZoneReportSource & ~Copyable, to writer: inout some ReportWriter
    ) {
        for index in 0..<ZoneKind.count { if let kind = ZoneKind(rawValue: index) { write(kind, source, &writer) } }
    }

    @inline(never)
    private static func write(
        _ kind: ZoneKind, _ source: borrowing some ZoneReportSource & ~Copyable, _ writer: inout some ReportWriter
    ) {
        let zone = source.report(of: kind)
        guard zone.isPopulated else { return }
        writer.write("Node 0, zone ")
        writer.write(kind.name, width: 8)
        writer.write(" ")
        for order in 0...BlockOrder.highest {
            writer.write(decimal: zone.freeBlockCount(order: order), width: 6)
            writer.write(" ")
        }
        writer.endLine()
    }
}
