import MemoryPrimitives

/// The report on a request for page frames that was not met, with the lines of Linux's report that mean something without
/// processes, files, swap and nodes: who asked for what, and why no zone could serve it.
public enum AllocationFailureReport {
    /// Writes the whole report. A kernel that has a stack trace writes it between the failure's heading and `writeMemory`.
    public static func write(
        _ failure: AllocationFailure, _ source: borrowing some ZoneReportSource & ~Copyable,
        to writer: inout some ReportWriter
    ) {
        failure.writeHeading(to: &writer)
        writeMemory(failure, source, to: &writer)
    }

    /// Writes what the memory looks like.
    ///
    /// - Complexity: O(zones * groups * orders). Callable wherever the source's reports are.
    public static func writeMemory(
        _ failure: AllocationFailure, _ source: borrowing some ZoneReportSource & ~Copyable,
        to writer: inout some ReportWriter
    ) {
        var totals = Totals()
        for index in 0..<ZoneKind.count { if let kind = ZoneKind(rawValue: index) { totals.add(kind, source) } }
        totals.writeUse(failure, &writer)
        for index in 0..<ZoneKind.count {
            if let kind = ZoneKind(rawValue: index) { writeMarks(kind, source, &writer) }
        }
        for index in 0..<ZoneKind.count {
            if let kind = ZoneKind(rawValue: index) { writeBlocks(kind, source, &writer) }
        }
        totals.writeFrames(&writer)
    }

    @inline(never)
    private static func writeMarks(
        _ kind: ZoneKind, _ source: borrowing some ZoneReportSource & ~Copyable, _ writer: inout some ReportWriter
    ) {
        let zone = source.report(of: kind)
        guard zone.isPopulated else { return }
        writer.write("Node 0 ")
        writer.write(kind.name)
        writer.write(" free:", kibibytesOf: zone.free)
        writer.write(" boost:", kibibytesOf: zone.watermarks.boost)
        writer.write(" min:", kibibytesOf: zone.watermarks[.min])
        writer.write(" low:", kibibytesOf: zone.watermarks[.low])
        writer.write(" high:", kibibytesOf: zone.watermarks[.high])
        writer.write(" reserved_highatomic:", kibibytesOf: zone.reservedHighAtomic, unit: "KB")
        writer.write(" present:", kibibytesOf: zone.present)
        writer.write(" managed:", kibibytesOf: zone.managed)
        writer.write(" free_pcp:", kibibytesOf: zone.cached)
        writer.write(" local_pcp:", kibibytesOf: zone.cachedByThisCPU)
        writer.write(" free_cma:", kibibytesOf: zone.freeContiguous)
        writer.endLine()
        writer.write("lowmem_reserve[]:")
        for higher in 0..<ZoneKind.count { writer.write(" ", zone.watermarks.lowmemReserve[higher]) }
        writer.endLine()
    }

    @inline(never)
    private static func writeBlocks(
        _ kind: ZoneKind, _ source: borrowing some ZoneReportSource & ~Copyable, _ writer: inout some ReportWriter
    ) {
        let zone = source.report(of: kind)
        guard zone.isPopulated else { return }
        writer.write("Node 0 ")
        writer.write(kind.name)
        writer.write(":")
        var frames: UInt = 0
        for order in 0...BlockOrder.highest {
            let count = zone.freeBlockCount(order: order)
            frames &+= count << UInt(order)
            writer.write(" ", count)
            writer.write("*", kibibytesOf: 1 << UInt(order))
            if count != 0 { writeGroups(zone, order, &writer) }
        }
        writer.write(" = ", kibibytesOf: frames)
        writer.endLine()
    }

    /// Writes the letters of the groups that have free blocks of the order: ` (UM)`.
    @inline(never)
    private static func writeGroups(_ zone: borrowing ZoneReport, _ order: Int, _ writer: inout some ReportWriter) {
        writer.write(" (")
        for index in 0..<Mobility.count where zone.freeBlocks[index][order] != 0 {
            if let group = Mobility(rawValue: UInt8(truncatingIfNeeded: index)) { writer.write(group.mark) }
        }
        writer.write(")")
    }
}

/// Sums over all zones, in frames. They wrap: a report on damaged counts must come out, too.
private struct Totals {
    var free: UInt = 0
    var cached: UInt = 0
    var freeContiguous: UInt = 0
    var present: UInt = 0
    var managed: UInt = 0
    var contiguous: UInt = 0

    @inline(never)
    mutating func add(_ kind: ZoneKind, _ source: borrowing some ZoneReportSource & ~Copyable) {
        let zone = source.report(of: kind)
        free &+= zone.free
        cached &+= zone.cached
        freeContiguous &+= zone.freeContiguous
        present &+= zone.present
        managed &+= zone.managed
        contiguous &+= UInt(zone.pageBlocks[Int(Mobility.contiguous.rawValue)]) << UInt(ZoneReport.pageBlockOrder)
    }

    @inline(never)
    func writeUse(_ failure: AllocationFailure, _ writer: inout some ReportWriter) {
        writer.write("Mem-Info:")
        writer.endLine()
        writer.write(" slab_reclaimable:", failure.slabReclaimable)
        writer.write(" slab_unreclaimable:", failure.slabUnreclaimable)
        writer.endLine()
        writer.write(" pagetables:", failure.pageTables)
        writer.endLine()
        writer.write(" free:", free)
        writer.write(" free_pcp:", cached)
        writer.write(" free_cma:", freeContiguous)
        writer.endLine()
    }

    @inline(never)
    func writeFrames(_ writer: inout some ReportWriter) {
        writer.write("", present, " pages RAM")
        writer.endLine()
        writer.write("", present - min(managed, present), " pages reserved")
        writer.endLine()
        guard contiguous != 0 else { return }
        writer.write("", contiguous, " pages cma reserved")
        writer.endLine()
    }
}

extension ReportWriter {
    /// Writes a number of frames between two texts.
    @inline(never)
    fileprivate mutating func write(_ before: StaticString, _ number: UInt, _ after: StaticString = "") {
        write(before)
        write(decimal: number)
        write(after)
    }

    /// Writes a number of frames in KiB.
    @inline(never)
    fileprivate mutating func write(
        _ before: StaticString, kibibytesOf frames: UInt, unit: StaticString = "kB"
    ) {
        write(before)
        write(decimal: frames << (PageSize.shift - 10))
        write(unit)
    }
}
