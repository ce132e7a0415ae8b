import BootMemory
import MemoryPrimitives
import PageFrames
import Paging
import Slab
import VirtualMemory

extension KernelMemory {
    /// Writes how much memory there is and what it is used for, in the format of Linux's `/proc/meminfo`: all of its lines, in
    /// its order. What Quarry has nothing of (caches of files, memory of processes, swap, huge pages for users) is 0.
    ///
    /// - Complexity: O(caches + tables). Takes all locks in turn: not for callers that hold one. While others allocate,
    ///   the lines are not of one moment.
    @inline(never)
    public func writeMemInfo<Writer: ReportWriter>(to writer: inout Writer) { memInfo.write(to: &writer) }

    /// The figures that `writeMemInfo`, `writeZoneInfo` and `writeVMStat` write.
    var memInfo: MemInfo {
        var info = MemInfo()
        info.slab = kmalloc.value.frameFigures
        info.total = frames.value.managedFrames
        info.free = frames.value.freeFrames
        let promisable = frames.value.promisableFramesWithCached
        // What of the slabs can be given back is in use in part: Linux, too, counts on half of it.
        let areas = vmalloc.value.statistics.areas
        info.available = min(info.total, promisable + info.slab.reclaimable / 2 + areas.retiredPages)
        let reserve = stacks.value.figures
        // Frames that wait for a stack to grow are as good as its pages.
        let waiting = UInt(bitPattern: reserve.reserveFrames &- reserve.missingReserveFrames)
        info.kernelStack = areas.stackPages &+ waiting
        info.vmallocUsed = areas.presentPages &+ waiting
        info.vmallocLazy = areas.retiredPages
        info.committed = areas.committedFrames
        info.commitLimit = areas.committedFrames &+ promisable
        info.vmallocTotal = layout.areas.byteCount >> PageSize.shift
        info.pageTables = UInt(pageTables.value.tableCount) + 1
        addBootMemory(to: &info)
        addContiguousArea(to: &info)
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

    @inline(never)
    private func addBootMemory(to info: inout MemInfo) {
        info.perCPU = boot.value.totalReserved(by: .perCPU) >> PageSize.shift
        info.damaged = boot.value.totalReserved(by: .badMemory) >> PageSize.shift
    }

    /// A zone's report is large: a function of its own, which is not inlined.
    @inline(never)
    private func addContiguousArea(to info: inout MemInfo) {
        let area = frames.value.contiguousArea
        if area.isEmpty { return }
        info.contiguous = area.upperBound.rawValue - area.lowerBound.rawValue
        let zone = ZoneKind(managing: area.lowerBound)
        info.freeContiguous = frames.value.report(of: zone).freeContiguous
    }
}

extension ZoneKind {
    /// The zone that a frame belongs to.
    init(managing frame: PageFrameNumber) {
        self = frame < ZoneKind.dma.endFrame ? .dma : frame < ZoneKind.dma32.endFrame ? .dma32 : .normal
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
    /// What has been promised, and what could be: beyond it a request on demand is refused.
    var committed: UInt = 0
    var commitLimit: UInt = 0
    var vmallocTotal: UInt = 0
    var vmallocUsed: UInt = 0
    /// Frames of freed areas that wait for a purge.
    var vmallocLazy: UInt = 0
    /// What the CPUs have each for themselves from before the page frames were there; not in `total`.
    var perCPU: UInt = 0
    /// Memory that failed a test; not in `total`.
    var damaged: UInt = 0
    /// The area for contiguous buffers, and what of it is free.
    var contiguous: UInt = 0
    var freeContiguous: UInt = 0
    /// What of the direct map is mapped in pages of 4 KiB, 2 MiB and 1 GiB.
    var directMap = InlineArray<3, UInt>(repeating: 0)
    var hasGigabytePages = false

    /// KiB of kernel stacks, the unit of Linux's `nr_kernel_stack`.
    var kernelStackKiB: UInt { kernelStack << (PageSize.shift - 10) }

    @inline(never)
    func write<Writer: ReportWriter>(to writer: inout Writer) {
        writeContents(to: &writer)
        writeKernel(to: &writer)
        writeAddressSpace(to: &writer)
    }

    /// What memory is there, and what would be kept in it for processes.
    @inline(never)
    private func writeContents<Writer: ReportWriter>(to writer: inout Writer) {
        Self.write("MemTotal:", total, to: &writer)
        Self.write("MemFree:", free, to: &writer)
        Self.write("MemAvailable:", available, to: &writer)
        Self.write("Buffers:", 0, to: &writer)
        Self.write("Cached:", 0, to: &writer)
        Self.write("SwapCached:", 0, to: &writer)
        Self.write("Active:", 0, to: &writer)
        Self.write("Inactive:", 0, to: &writer)
        Self.write("Active(anon):", 0, to: &writer)
        Self.write("Inactive(anon):", 0, to: &writer)
        Self.write("Active(file):", 0, to: &writer)
        Self.write("Inactive(file):", 0, to: &writer)
        Self.write("Unevictable:", 0, to: &writer)
        Self.write("Mlocked:", 0, to: &writer)
        Self.write("SwapTotal:", 0, to: &writer)
        Self.write("SwapFree:", 0, to: &writer)
        Self.write("Zswap:", 0, to: &writer)
        Self.write("Zswapped:", 0, to: &writer)
        Self.write("Dirty:", 0, to: &writer)
        Self.write("Writeback:", 0, to: &writer)
        Self.write("AnonPages:", 0, to: &writer)
        Self.write("Mapped:", 0, to: &writer)
        Self.write("Shmem:", 0, to: &writer)
    }

    @inline(never)
    private func writeKernel<Writer: ReportWriter>(to writer: inout Writer) {
        Self.write("KReclaimable:", slab.reclaimable, to: &writer)
        Self.write("Slab:", slab.total, to: &writer)
        Self.write("SReclaimable:", slab.reclaimable, to: &writer)
        Self.write("SUnreclaim:", slab.total - slab.reclaimable, to: &writer)
        Self.write("KernelStack:", kernelStack, to: &writer)
        Self.write("PageTables:", pageTables, to: &writer)
        Self.write("SecPageTables:", 0, to: &writer)
        Self.write("NFS_Unstable:", 0, to: &writer)
        Self.write("Bounce:", 0, to: &writer)
        Self.write("WritebackTmp:", 0, to: &writer)
        Self.write("CommitLimit:", commitLimit, to: &writer)
        Self.write("Committed_AS:", committed, to: &writer)
    }

    @inline(never)
    private func writeAddressSpace<Writer: ReportWriter>(to writer: inout Writer) {
        Self.write("VmallocTotal:", vmallocTotal, to: &writer)
        Self.write("VmallocUsed:", vmallocUsed, to: &writer)
        Self.write("VmallocChunk:", 0, to: &writer)
        Self.write("Percpu:", perCPU, to: &writer)
        Self.write("HardwareCorrupted:", damaged, to: &writer)
        Self.write("AnonHugePages:", 0, to: &writer)
        Self.write("ShmemHugePages:", 0, to: &writer)
        Self.write("ShmemPmdMapped:", 0, to: &writer)
        Self.write("FileHugePages:", 0, to: &writer)
        Self.write("FilePmdMapped:", 0, to: &writer)
        // As in Linux, where there is such an area.
        if contiguous > 0 {
            Self.write("CmaTotal:", contiguous, to: &writer)
            Self.write("CmaFree:", freeContiguous, to: &writer)
        }
        Self.write(noHugePages: "HugePages_Total:", to: &writer)
        Self.write(noHugePages: "HugePages_Free:", to: &writer)
        Self.write(noHugePages: "HugePages_Rsvd:", to: &writer)
        Self.write(noHugePages: "HugePages_Surp:", to: &writer)
        Self.write("Hugepagesize:", PageSize.size2MiB.frameCount, to: &writer)
        Self.write("Hugetlb:", 0, to: &writer)
        Self.write("DirectMap4k:", directMap[0], to: &writer)
        Self.write("DirectMap2M:", directMap[1], to: &writer)
        if hasGigabytePages { Self.write("DirectMap1G:", directMap[2], to: &writer) }
    }

    /// "MemTotal:         468416 kB": the number right-aligned in the columns 17 to 24.
    @inline(never)
    private static func write<Writer: ReportWriter>(_ name: StaticString, _ frames: UInt, to writer: inout Writer) {
        writer.write(name)
        // That of HardwareCorrupted takes more than its 16 columns, and leaves the number fewer.
        let column = max(16, name.utf8CodeUnitCount + 1)
        for _ in name.utf8CodeUnitCount..<column { writer.write(" ") }
        writer.write(decimal: frames << (PageSize.shift - 10), width: 24 - column)
        writer.write(" kB")
        writer.endLine()
    }

    /// "HugePages_Total:       0": a number, and not one of KiB, in the columns up to 24.
    private static func write<Writer: ReportWriter>(noHugePages name: StaticString, to writer: inout Writer) {
        writer.write(name)
        writer.write(decimal: 0, width: 24 - name.utf8CodeUnitCount)
        writer.endLine()
    }
}
