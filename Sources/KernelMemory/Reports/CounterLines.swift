import MemoryPrimitives
import PageFrames
import Slab

/// How a counter stands in a report: `name value` in `vmstat`, indented and with a column for values in `zoneinfo`.
enum CounterStyle {
    case plain
    case indented

    @inline(never)
    func write<Writer: ReportWriter>(_ name: StaticString, _ value: UInt, to writer: inout Writer) {
        if self == .indented { writer.write("      ") }
        writer.write(name)
        writer.write(" ")
        if self == .indented { for _ in min(12, name.utf8CodeUnitCount)..<12 { writer.write(UInt8(ascii: " ")) } }
        writer.write(decimal: value)
        writer.endLine()
    }
}

/// The counters that Linux 6.1 keeps for a zone, in its order, but for those of its NUMA policy: these are events of each
/// allocation, which nobody counts here. In frames.
struct ZoneCounters {
    /// Free frames, those in the CPUs' caches excepted.
    var free: UInt = 0
    var freeContiguous: UInt = 0

    @inline(never)
    func write<Writer: ReportWriter>(_ style: CounterStyle, to writer: inout Writer) {
        style.write("nr_free_pages", free, to: &writer)
        // Pages of processes and of files, of which there are none.
        style.write("nr_zone_inactive_anon", 0, to: &writer)
        style.write("nr_zone_active_anon", 0, to: &writer)
        style.write("nr_zone_inactive_file", 0, to: &writer)
        style.write("nr_zone_active_file", 0, to: &writer)
        style.write("nr_zone_unevictable", 0, to: &writer)
        style.write("nr_zone_write_pending", 0, to: &writer)
        style.write("nr_mlock", 0, to: &writer)
        style.write("nr_bounce", 0, to: &writer)
        style.write("nr_zspages", 0, to: &writer)
        style.write("nr_free_cma", freeContiguous, to: &writer)
    }
}

/// The counters that Linux 6.1 keeps for a memory node, in its order; there is one node. In frames, stacks in KiB.
struct NodeCounters {
    var slabReclaimable: UInt
    var slabUnreclaimable: UInt
    var kernelStackKiB: UInt
    var pageTables: UInt

    init(_ info: MemInfo) {
        slabReclaimable = info.slab.reclaimable
        slabUnreclaimable = info.slab.total - info.slab.reclaimable
        kernelStackKiB = info.kernelStackKiB
        pageTables = info.pageTables
    }

    @inline(never)
    func write<Writer: ReportWriter>(_ style: CounterStyle, to writer: inout Writer) {
        style.write("nr_inactive_anon", 0, to: &writer)
        style.write("nr_active_anon", 0, to: &writer)
        style.write("nr_inactive_file", 0, to: &writer)
        style.write("nr_active_file", 0, to: &writer)
        style.write("nr_unevictable", 0, to: &writer)
        style.write("nr_slab_reclaimable", slabReclaimable, to: &writer)
        style.write("nr_slab_unreclaimable", slabUnreclaimable, to: &writer)
        style.write("nr_isolated_anon", 0, to: &writer)
        style.write("nr_isolated_file", 0, to: &writer)
        writePagesOfFiles(style, to: &writer)
        style.write("nr_kernel_misc_reclaimable", 0, to: &writer)
        style.write("nr_foll_pin_acquired", 0, to: &writer)
        style.write("nr_foll_pin_released", 0, to: &writer)
        style.write("nr_kernel_stack", kernelStackKiB, to: &writer)
        style.write("nr_page_table_pages", pageTables, to: &writer)
        style.write("nr_sec_page_table_pages", 0, to: &writer)
        style.write("nr_swapcached", 0, to: &writer)
        style.write("pgpromote_success", 0, to: &writer)
        style.write("pgpromote_candidate", 0, to: &writer)
    }

    /// What is kept of files and of processes' memory, how it is written back and reclaimed: nothing.
    @inline(never)
    private func writePagesOfFiles<Writer: ReportWriter>(_ style: CounterStyle, to writer: inout Writer) {
        style.write("workingset_nodes", 0, to: &writer)
        style.write("workingset_refault_anon", 0, to: &writer)
        style.write("workingset_refault_file", 0, to: &writer)
        style.write("workingset_activate_anon", 0, to: &writer)
        style.write("workingset_activate_file", 0, to: &writer)
        style.write("workingset_restore_anon", 0, to: &writer)
        style.write("workingset_restore_file", 0, to: &writer)
        style.write("workingset_nodereclaim", 0, to: &writer)
        style.write("nr_anon_pages", 0, to: &writer)
        style.write("nr_mapped", 0, to: &writer)
        style.write("nr_file_pages", 0, to: &writer)
        style.write("nr_dirty", 0, to: &writer)
        style.write("nr_writeback", 0, to: &writer)
        style.write("nr_writeback_temp", 0, to: &writer)
        style.write("nr_shmem", 0, to: &writer)
        style.write("nr_shmem_hugepages", 0, to: &writer)
        style.write("nr_shmem_pmdmapped", 0, to: &writer)
        style.write("nr_file_hugepages", 0, to: &writer)
        style.write("nr_file_pmdmapped", 0, to: &writer)
        style.write("nr_anon_transparent_hugepages", 0, to: &writer)
        style.write("nr_vmscan_write", 0, to: &writer)
        style.write("nr_vmscan_immediate_reclaim", 0, to: &writer)
        style.write("nr_dirtied", 0, to: &writer)
        style.write("nr_written", 0, to: &writer)
        style.write("nr_throttled_written", 0, to: &writer)
    }
}
