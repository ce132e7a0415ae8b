import MemoryPrimitives
import PageFrames
import Slab
import Testing

@testable import KernelMemory

/// `zoneinfo` to the byte in Linux's format: parts of `/proc/zoneinfo` of Linux 6.1.192 (Debian 12), with its numbers where
/// something is counted here, and 0 where there is nothing of the kind.
@Suite struct ZoneInfoTests {
    private static let node = """
              nr_inactive_anon 0
              nr_active_anon 0
              nr_inactive_file 0
              nr_active_file 0
              nr_unevictable 0
              nr_slab_reclaimable 2185
              nr_slab_unreclaimable 1463
              nr_isolated_anon 0
              nr_isolated_file 0
              workingset_nodes 0
              workingset_refault_anon 0
              workingset_refault_file 0
              workingset_activate_anon 0
              workingset_activate_file 0
              workingset_restore_anon 0
              workingset_restore_file 0
              workingset_nodereclaim 0
              nr_anon_pages 0
              nr_mapped    0
              nr_file_pages 0
              nr_dirty     0
              nr_writeback 0
              nr_writeback_temp 0
              nr_shmem     0
              nr_shmem_hugepages 0
              nr_shmem_pmdmapped 0
              nr_file_hugepages 0
              nr_file_pmdmapped 0
              nr_anon_transparent_hugepages 0
              nr_vmscan_write 0
              nr_vmscan_immediate_reclaim 0
              nr_dirtied   0
              nr_written   0
              nr_throttled_written 0
              nr_kernel_misc_reclaimable 0
              nr_foll_pin_acquired 0
              nr_foll_pin_released 0
              nr_kernel_stack 752
              nr_page_table_pages 10
              nr_sec_page_table_pages 0
              nr_swapcached 0
              pgpromote_success 0
              pgpromote_candidate 0

        """

    /// With a zone less, as a Linux without devices' memory has it.
    private static let frames = """
          pages free     3808
                boost    0
                min      22
                low      27
                high     32
                spanned  4095
                present  3998
                managed  3840
                cma      0
                protection: (0, 432, 432, 432)

        """

    private static let zone = """
              nr_free_pages 3808
              nr_zone_inactive_anon 0
              nr_zone_active_anon 0
              nr_zone_inactive_file 0
              nr_zone_active_file 0
              nr_zone_unevictable 0
              nr_zone_write_pending 0
              nr_mlock     0
              nr_bounce    0
              nr_zspages   0
              nr_free_cma  0

        """

    private static let pageset = """
            cpu: 0
                      count: 0
                      high:  27
                      batch: 1

        """

    private func text(_ write: (inout TextWriter) -> Void) -> String {
        var writer = TextWriter()
        write(&writer)
        return writer.text
    }

    @Test func countersOfTheNode() {
        var info = MemInfo()
        (info.slab.reclaimable, info.slab.unreclaimable) = (2185, 1463)
        (info.kernelStack, info.pageTables) = (752 / 4, 10)
        #expect(text { NodeCounters(info).write(.indented, to: &$0) } == Self.node)
        // In `vmstat` the same names stand without columns.
        let plain = text { NodeCounters(info).write(.plain, to: &$0) }
        let words = Self.node.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }
        #expect(plain == words.joined(separator: "\n") + "\n")
    }

    @Test func framesAndCountersOfAZone() {
        var report = ZoneReport(.dma)
        (report.free, report.present, report.managed) = (3808, 3998, 3840)
        (report.watermarks.min, report.watermarks.low, report.watermarks.high) = (22, 27, 32)
        report.watermarks.lowmemReserve = [0, 432, 432]
        #expect(text { ZoneInfo.writeFrames(report, ZoneInfo.Span(start: 1, end: 4096), to: &$0) } == Self.frames)
        #expect(text { ZoneCounters(free: 3808).write(.indented, to: &$0) } == Self.zone)
        var figures = FrameCacheFigures()
        (figures.frames, figures.high, figures.batch) = (0, 27, 1)
        #expect(text { ZoneInfo.write(figures, ofCPU: 0, to: &$0) } == Self.pageset)
        #expect(text { ZoneInfo.writeHeading("DMA", to: &$0) } == "Node 0, zone      DMA\n")
        #expect(text { ZoneInfo.writeHeading("Movable", to: &$0) } == "Node 0, zone  Movable\n")
    }

    /// The whole: each zone's part in Linux's order, those of an empty zone cut short, and of a CPU each its caches.
    @Test func theWhole() throws {
        var configuration = Configuration()
        configuration.cpuCount = 2
        configuration.frames = PageFrameOptions()
        let machine = try KernelMachine(.pc(bytes: 64 << 20), configuration)
        var writer = TextWriter()
        machine.run { machine.memory.value.writeZoneInfo(to: &writer) }
        func names(_ part: String) -> [String] { part.split(separator: "\n").map { String($0.prefix(16)) } }
        let pagesets =
            ["  pagesets"] + [0, 1].flatMap { cpu in ["    cpu: \(cpu)"] + names(Self.pageset).dropFirst() }
            + ["  vm stats thres", "  node_unreclaim", "  start_pfn:    "]
        let frames = names(Self.frames)
        let populated = frames + names(Self.zone) + pagesets
        #expect(
            writer.lines.map { String($0.prefix(16)) } == ["Node 0, zone    ", "  per-node stats"] + names(Self.node)
                + populated + ["Node 0, zone    "] + populated + ["Node 0, zone   N"] + frames + ["Node 0, zone  Mo"]
                + frames)
        #expect(
            writer.lines.filter { $0.hasPrefix("  start_pfn:           ") } == [
                "  start_pfn:           0", "  start_pfn:           4096",
            ])
        #expect(writer.lines.filter { $0.hasPrefix("        protection: (") }.allSatisfy { $0.hasSuffix(")") })
        let figures = machine.run { machine.memory.value.frames.value.cacheFigures(ofCPU: 1, inZone: .dma32) }
        #expect(figures.high > 0 && figures.batch > 0)
        #expect(writer.lines.contains("              high:  \(figures.high)"))
    }

    /// What readers of `vmstat` look for in Linux's `/proc/stat`.
    @Test func theStatFile() throws {
        var configuration = Configuration()
        configuration.cpuCount = 2
        let machine = try KernelMachine(.pc(bytes: 64 << 20), configuration)
        var writer = TextWriter()
        machine.run { machine.memory.value.writeStat(to: &writer) }
        let lines = writer.lines
        #expect(lines[0] == "cpu  0 0 0 0 0 0 0 0 0 0" && lines[2] == "cpu1 0 0 0 0 0 0 0 0 0 0")
        let names = lines.dropFirst(3).map { $0.split(separator: " ")[0] }
        #expect(names == ["intr", "ctxt", "btime", "processes", "procs_running", "procs_blocked", "softirq"])
    }
}
