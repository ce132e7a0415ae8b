import BootMemory
import MemoryPrimitives
import PageFrames

extension KernelMemory {
    /// Writes what each zone has and keeps, in the format of Linux's `/proc/zoneinfo`. The zone Movable, which every Linux
    /// lists, is empty; there is no zone Device, and no lines of the NUMA policy.
    ///
    /// - Complexity: O(zones * (CPUs + page blocks) + caches + tables). Takes all locks in turn: not for callers that hold
    ///   one. While others allocate, the lines are not of one moment.
    @inline(never)
    public func writeZoneInfo<Writer: ReportWriter>(to writer: inout Writer) {
        let node = NodeCounters(memInfo)
        var hasNode = false
        for index in 0..<3 {
            guard let kind = ZoneKind(rawValue: index) else { continue }
            let isPopulated = writeZone(kind, hasNode ? nil : node, to: &writer)
            hasNode = hasNode || isPopulated
        }
        ZoneInfo.writeHeading("Movable", to: &writer)
        ZoneInfo.writeFrames(ZoneReport(.normal), ZoneInfo.Span(), to: &writer)
    }

    /// - Returns: whether the zone has memory.
    @inline(never)
    private func writeZone<Writer: ReportWriter>(
        _ kind: ZoneKind, _ node: NodeCounters?, to writer: inout Writer
    ) -> Bool {
        let zone = frames.value.report(of: kind)
        let span = span(of: kind)
        ZoneInfo.writeHeading(kind.name, to: &writer)
        if zone.isPopulated, let node {
            writer.write("  per-node stats")
            writer.endLine()
            node.write(.indented, to: &writer)
        }
        ZoneInfo.writeFrames(zone, span, to: &writer)
        guard zone.isPopulated else { return false }
        ZoneCounters(free: zone.free, freeContiguous: zone.freeContiguous).write(.indented, to: &writer)
        writer.write("  pagesets")
        writer.endLine()
        for cpu in 0..<P.cpuCount {
            ZoneInfo.write(frames.value.cacheFigures(ofCPU: cpu, inZone: kind), ofCPU: cpu, to: &writer)
        }
        // Counters are exact: no CPU keeps changes of them to itself.
        writer.write("  vm stats threshold: 0")
        writer.endLine()
        writer.write("  node_unreclaimable:  0")
        writer.endLine()
        writer.write("  start_pfn:           ")
        writer.write(decimal: span.start)
        writer.endLine()
        return true
    }

    /// From the zone's first frame of memory to its last, whoever has them.
    private func span(of kind: ZoneKind) -> ZoneInfo.Span {
        var span = ZoneInfo.Span()
        for index in 0..<boot.value.memoryRangeCount {
            guard let whole = boot.value.memoryRange(at: index).wholePages() else { continue }
            let low = max(PageFrameNumber(containing: whole.start), kind.firstFrame).rawValue
            let high = min(PageFrameNumber(containing: whole.end), kind.endFrame).rawValue
            if low >= high { continue }
            if span.end == 0 { span.start = low }
            span.end = high
        }
        return span
    }
}

/// The report `zoneinfo`, zone by zone.
enum ZoneInfo {
    /// Frames from `start` on, before `end`; both are 0 where there are none.
    struct Span {
        var start: UInt = 0
        var end: UInt = 0
    }

    @inline(never)
    static func writeHeading<Writer: ReportWriter>(_ name: StaticString, to writer: inout Writer) {
        writer.write("Node 0, zone ")
        writer.write(name, width: 8)
        writer.endLine()
    }

    /// The zone's frames and marks. The boost is part of Linux's marks, too.
    @inline(never)
    static func writeFrames<Writer: ReportWriter>(_ zone: borrowing ZoneReport, _ span: Span, to writer: inout Writer) {
        write("  pages free     ", zone.free, to: &writer)
        write("        boost    ", zone.watermarks.boost, to: &writer)
        write("        min      ", zone.watermarks[.min], to: &writer)
        write("        low      ", zone.watermarks[.low], to: &writer)
        write("        high     ", zone.watermarks[.high], to: &writer)
        write("        spanned  ", span.end - span.start, to: &writer)
        write("        present  ", zone.present, to: &writer)
        write("        managed  ", zone.managed, to: &writer)
        write(
            "        cma      ",
            UInt(zone.pageBlocks[Int(Mobility.contiguous.rawValue)]) << UInt(ZoneReport.pageBlockOrder), to: &writer)
        writer.write("        protection: (")
        for higher in 0..<3 {
            writer.write(decimal: zone.watermarks.lowmemReserve[higher])
            writer.write(", ")
        }
        // What is kept from requests that could have been served from Movable, which adds nothing.
        writer.write(decimal: zone.watermarks.lowmemReserve[2])
        writer.write(")")
        writer.endLine()
    }

    @inline(never)
    static func write<Writer: ReportWriter>(
        _ figures: FrameCacheFigures, ofCPU cpu: Int, to writer: inout Writer
    ) {
        write("    cpu: ", UInt(cpu), to: &writer)
        write("              count: ", figures.frames, to: &writer)
        write("              high:  ", figures.high, to: &writer)
        write("              batch: ", figures.batch, to: &writer)
    }

    @inline(never)
    private static func write<Writer: ReportWriter>(_ name: StaticString, _ value: UInt, to writer: inout Writer) {
        writer.write(name)
        writer.write(decimal: value)
        writer.endLine()
    }
}
