import BootMemory
import MemoryPrimitives
import PageFrames
import Slab

// Maps of memory for programs; docs/memory-map.md describes the lines.
extension KernelMemory {
    /// Writes the report `frames`: what every frame of RAM is used for, a line for each run of frames that are used alike.
    ///
    ///     zone DMA32 0x1000-0x1ffdf managed=122847 free=121000 cached=24
    ///     0x1c80-0x1cff 128 free order=7
    ///     0x1d00-0x1d01 2 slab order=0 name=kmalloc-64
    ///     0x1ffd6-0x1ffdf 10 reserved name=frame table
    ///
    /// - Parameters:
    ///   - scratch: memory to work in.
    ///   - writer: where it goes.
    /// - Complexity: O(blocks), and for each 16 MiB that have blocks in use O(pages of areas + slabs). Takes all locks in
    ///   turn: not for callers that hold one. While others allocate, the lines are not of one moment.
    @inline(never)
    public func writeFrames<Writer: ReportWriter>(scratch: MapScratch, to writer: inout Writer) {
        for index in 0..<3 {
            guard let kind = ZoneKind(rawValue: index) else { continue }
            FrameMapReport.write(frames.value.statistics(of: kind), to: &writer)
        }
        var walk = MemoryUseWalk(self, scratch)
        while let run = walk.next() { writeLine(run, to: &writer) }
    }

    /// A run as a line of the report.
    @inline(never)
    func writeLine<Writer: ReportWriter>(_ run: MemoryUseRun, to writer: inout Writer) {
        FrameMapReport.write(run, to: &writer)
        switch run.use {
        case .slab where run.detail != 0:
            writer.write(" name=")
            writer.write(kmalloc.value.name(ofCache: run.detail))
        case .reserved:
            writer.write(" name=")
            writer.write((RegionOwner(rawValue: UInt8(truncatingIfNeeded: run.detail)) ?? .other).name)
        default: break
        }
        writer.endLine()
    }
}

enum FrameMapReport {
    /// A zone that has memory: its span, and what the allocator counts in it.
    @inline(never)
    static func write<Writer: ReportWriter>(_ zone: ZoneStatistics, to writer: inout Writer) {
        if zone.managedFrames == 0 { return }
        writer.write("zone ")
        writer.write(zone.name)
        writer.write(" 0x")
        writer.write(hex: zone.firstFrame.rawValue)
        writer.write("-0x")
        writer.write(hex: zone.endFrame.rawValue &- 1)
        writer.write(" managed=")
        writer.write(decimal: zone.managedFrames)
        writer.write(" free=")
        writer.write(decimal: zone.freeFrames)
        writer.write(" cached=")
        writer.write(decimal: zone.cachedFrames)
        writer.endLine()
    }

    /// A run without its line's end.
    @inline(never)
    static func write<Writer: ReportWriter>(_ run: MemoryUseRun, to writer: inout Writer) {
        writer.write("0x")
        writer.write(hex: run.first.rawValue)
        writer.write("-0x")
        writer.write(hex: run.end.rawValue &- 1)
        writer.write(" ")
        writer.write(decimal: run.count)
        writer.write(" ")
        writer.write(run.use.name)
        switch run.use {
        case .cached, .reserved, .damaged: break
        default:
            writer.write(" order=")
            writer.write(decimal: UInt(bitPattern: run.order))
        }
        if run.isDeferred { writer.write(" deferred") }
    }
}
