import MemoryPrimitives
import PageFrames
import Paging
import Slab
import VirtualMemory

extension KernelMemory {
    /// Writes how much memory there is and what it is used for, in the format of Linux's `/proc/meminfo`, with the lines
    /// that mean something here, and those of caches and swap that readers take for granted, which are 0.
    ///
    /// - Complexity: O(caches + tables). Takes all locks in turn: not for callers that hold one. While others allocate,
    ///   the lines are not of one moment.
    @inline(never)
    public func writeMemInfo<Writer: ReportWriter>(to writer: inout Writer) { memInfo.write(to: &writer) }

    /// The figures that `writeMemInfo` writes.
    var memInfo: MemInfo {
        var info = MemInfo()
        info.slab = kmalloc.value.frameFigures
        info.total = frames.value.managedFrames
        info.free = frames.value.freeFrames
        // What of the slabs can be given back is in use in part: Linux, too, counts on half of it.
        let areas = vmalloc.value.statistics.areas
        info.available = min(
            info.total, frames.value.promisableFrames + info.slab.reclaimable / 2 + areas.retiredPages)
        let reserve = stacks.value.figures
        // Frames that wait for a stack to grow are as good as its pages.
        let waiting = UInt(bitPattern: reserve.reserveFrames &- reserve.missingReserveFrames)
        info.kernelStack = areas.stackPages &+ waiting
        info.vmallocUsed = areas.presentPages &+ waiting
        info.committed = areas.committedFrames
        info.vmallocLazy = areas.retiredPages
        info.vmallocTotal = layout.areas.byteCount >> PageSize.shift
        info.pageTables = UInt(pageTables.value.tableCount) + 1
        let directMap = layout.directMap
        pageTables.value.forEachLeafRun { run in
            if directMap.contains(run.start) {
                info.directMap[Int(run.size.rawValue)] &+=
                    (run.last.rawValue &- run.start.rawValue &+ 1) >> PageSize.shift
            }
        }
        info.hasGigabytePages = pageTables.value.features.gigabytePages
        return info
    }
}

/// The report `meminfo`: each line a name and a number of KiB. All figures are frames.
struct MemInfo {
    var total: UInt = 0
    var free: UInt = 0
    var available: UInt = 0
    var slab = SlabFrameFigures()
    var kernelStack: UInt = 0
    var pageTables: UInt = 0
    var committed: UInt = 0
    var vmallocTotal: UInt = 0
    var vmallocUsed: UInt = 0
    /// Frames of freed areas that wait for a purge.
    var vmallocLazy: UInt = 0
    /// What of the direct map is mapped in pages of 4 KiB, 2 MiB and 1 GiB.
    var directMap = InlineArray<3, UInt>(repeating: 0)
    var hasGigabytePages = false

    @inline(never)
    func write<Writer: ReportWriter>(to writer: inout Writer) {
        Self.write("MemTotal:", total, to: &writer)
        Self.write("MemFree:", free, to: &writer)
        Self.write("MemAvailable:", available, to: &writer)
        Self.write("Buffers:", 0, to: &writer)
        Self.write("Cached:", 0, to: &writer)
        Self.write("SwapCached:", 0, to: &writer)
        Self.write("SwapTotal:", 0, to: &writer)
        Self.write("SwapFree:", 0, to: &writer)
        Self.write("KReclaimable:", slab.reclaimable, to: &writer)
        Self.write("Slab:", slab.total, to: &writer)
        Self.write("SReclaimable:", slab.reclaimable, to: &writer)
        Self.write("SUnreclaim:", slab.total - slab.reclaimable, to: &writer)
        Self.write("KernelStack:", kernelStack, to: &writer)
        Self.write("PageTables:", pageTables, to: &writer)
        Self.write("Committed_AS:", committed, to: &writer)
        Self.write("VmallocTotal:", vmallocTotal, to: &writer)
        Self.write("VmallocUsed:", vmallocUsed, to: &writer)
        Self.write("VmallocChunk:", 0, to: &writer)
        // Linux has no such line: it counts what waits nowhere.
        if vmallocLazy > 0 { Self.write("VmallocLazy:", vmallocLazy, to: &writer) }
        Self.write("DirectMap4k:", directMap[0], to: &writer)
        Self.write("DirectMap2M:", directMap[1], to: &writer)
        if hasGigabytePages { Self.write("DirectMap1G:", directMap[2], to: &writer) }
    }

    /// "MemTotal:         468416 kB": the number right-aligned in the columns 17 to 24.
    @inline(never)
    private static func write<Writer: ReportWriter>(_ name: StaticString, _ frames: UInt, to writer: inout Writer) {
        writer.write(name)
        for _ in name.utf8CodeUnitCount..<16 { writer.write(" ") }
        writer.write(decimal: frames << (PageSize.shift - 10), width: 8)
        writer.write(" kB")
        writer.endLine()
    }
}
