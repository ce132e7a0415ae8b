import BootMemory
import KernelMemory
import MemoryPrimitives
import PageFrames
import Paging
import Slab
import VirtualMemory
import X86

/// Logs each step of bring-up, and switches to the kernel's own page tables.
///
/// Each method stays out of line, so that what it needs for its lines takes no room in bring-up's own frame.
struct BringUpLog: BringUpObserver {
    /// How often free memory is tested; 0 for not at all.
    let memoryTestPasses: UInt
    /// How the page frames were asked to work.
    let frames: PageFrameOptions

    @inline(never)
    mutating func bootMemoryIsReady(_ boot: borrowing BootAllocator) {
        Log.info(
            """
            boot memory: \(bytes: boot.totalMemory) in \(boot.memoryRangeCount) ranges, \(bytes: boot.totalReserved) \
            reserved, \(bytes: boot.totalFree) free
            """)
    }

    @inline(never)
    mutating func activate(_ tables: borrowing PageTables<X86Platform>) {
        x86_write_cr3(UInt64(tables.root.rawValue))
        // From here on the guard pages are there.
        ImageStack.checkCanaries("when the guard pages came")
        Log.info("mapped:")
        let audit = tables.audit { run in
            Log.info(
                """
                  \(run.start)-\(run.last) \(permissions: run.permissions) \(bytes: run.size.byteCount) pages at \
                \(run.physical)\(alias: run.alias)
                """)
        }
        Log.info(
            """
            page tables: root \(tables.root), \(audit.tables) tables of \(tables.levels) levels, \(audit.pages1GiB) pages of 1 GiB, \
            \(audit.pages2MiB) of 2 MiB, \(audit.pages4KiB) of 4 KiB; boot tables and identity map gone
            """)
    }

    mutating func memoryIsMapped(_ boot: inout BootAllocator) {
        MemoryTester.run(passes: memoryTestPasses, over: &boot)
    }

    @inline(never)
    mutating func pageFramesAreReady(
        _ frames: borrowing PageFrameAllocator<X86Platform>, _ boot: borrowing BootAllocator
    ) {
        Log.info("reserved:")
        boot.forEachReserved { range, owner in
            Log.info("  \(range) \(owner.name), \(bytes: range.byteCount)")
        }
        let managed = frames.managedFrames
        Log.info(
            """
            page frames: \(managed) managed, \(frames.freeFrames) free, \(frames.metadataByteCount) bytes of metadata, \
            \(MemoryLayout<FrameDescriptor>.stride) a descriptor
            """)
        ZoneKind.forEach { Self.log(frames.statistics(of: $0)) }
        logContiguousArea(frames.contiguousArea)
        if frames.activeChecks.rawValue != 0 { Self.log(frames.activeChecks) }
        Log.info("page frames ready")
    }

    @inline(never)
    mutating func kmallocIsReady(_ kmalloc: borrowing Kmalloc<X86Platform>) {
        Log.info(
            """
            kmalloc: \(kmalloc.cacheCount) caches, \(SizeClass.count) size classes up to \(SizeClass.largestByteCount) \
            bytes, larger from the buddy
            """)
    }

    @inline(never)
    mutating func vmallocIsReady(_ vmalloc: borrowing Vmalloc<X86Platform>) {
        let areas = KernelLayout.current.areas
        let statistics = vmalloc.statistics.areas
        Log.info(
            "vmalloc: \(areas), \(bytes: areas.byteCount), \(statistics.areas) areas, \(statistics.reservedPages) pages"
        )
    }

    static func leakDetectionEnded() { LeakCheck.detectionHasEnded() }

    private func logContiguousArea(_ area: Range<PageFrameNumber>) {
        let wanted = frames.contiguousByteCount
        if wanted == 0 { return }
        if area.isEmpty {
            return Log.warning(
                "cma: \(bytes: wanted) are more than half of memory, or do not lie together; no area is kept")
        }
        let last = area.upperBound.address.rawValue - 1
        let byteCount = area.upperBound.address.rawValue - area.lowerBound.address.rawValue
        Log.info(
            "cma: \(hex: area.lowerBound.address.rawValue, digits: 12)-\(hex: last, digits: 12), \(bytes: byteCount)")
    }

    @inline(never)
    private static func log(_ checks: FrameChecks) {
        Log.info(
            """
            page frame checks, and so no frame caches: page_poison \(checks.contains(.poison)), init_on_alloc \
            \(checks.contains(.zeroOnAllocation)), init_on_free \(checks.contains(.zeroOnFree)), page_owner \
            \(checks.contains(.owners)), debug_guardpage \(checks.contains(.guardPages))
            """)
        if checks.contains(.poison), checks.contains(.zeroOnFree) {
            Log.info("page_poison takes precedence over init_on_free")
        }
    }

    private static func log(_ zone: ZoneStatistics) {
        if zone.managedFrames == 0 { return Log.info("zone \(zone.name): empty") }
        Log.info(
            """
            zone \(zone.name): frames \(zone.firstFrame.rawValue)-\(zone.endFrame.rawValue - 1), \
            \(zone.managedFrames) managed, \(zone.freeFrames) free, \(zone.deferredFrames) of them deferred
            """)
        var line: LogMessage.Interpolation = .init(literalCapacity: 0, interpolationCount: 0)
        line.appendLiteral("  free blocks of order 0 to 10:")
        for order in 0..<11 { line.appendInterpolation(zone.freeBlocks[order], width: 6) }
        Log.info(LogMessage(stringInterpolation: line))
    }
}

extension LogMessage.Interpolation {
    /// `rwx`, with a dash for what is not allowed, and `u` where user code may.
    mutating func appendInterpolation(permissions: PagePermissions) {
        appendInterpolation(permissions.contains(.read) ? "r" : "-" as StaticString)
        appendInterpolation(permissions.contains(.write) ? "w" : "-" as StaticString)
        appendInterpolation(permissions.contains(.execute) ? "x" : "-" as StaticString)
        if permissions.contains(.user) { appendInterpolation("u" as StaticString) }
    }
    /// Where else the same pages are, if anywhere.
    mutating func appendInterpolation(alias: VirtualAddress?) {
        guard let alias else { return }
        appendLiteral(", alias at ")
        appendInterpolation(alias)
    }
}
