import MemoryPrimitives
import PageFrames
import VirtualMemory

extension KernelMemory {
    /// Writes the counters of Linux's `/proc/vmstat` that mean something here, or are 0 for good, under its names and in its
    /// order.
    ///
    /// Left out is what would take an instruction of each allocation to count: `pgalloc_*`, `pgfree` and `numa_*`.
    /// - Complexity: as `writeZoneInfo`.
    @inline(never)
    public func writeVMStat<Writer: ReportWriter>(to writer: inout Writer) {
        let info = memInfo
        zoneCounters.write(.plain, to: &writer)
        NodeCounters(info).write(.plain, to: &writer)
        writeEvents(to: &writer)
        // Linux has no such counter.
        CounterStyle.plain.write("nr_vmalloc_lazy", info.vmallocLazy, to: &writer)
    }

    /// Those of all zones together.
    private var zoneCounters: ZoneCounters {
        var sum = ZoneCounters()
        for index in 0..<3 { if let kind = ZoneKind(rawValue: index) { add(kind, to: &sum) } }
        return sum
    }

    @inline(never)
    private func add(_ kind: ZoneKind, to sum: inout ZoneCounters) {
        let zone = frames.value.report(of: kind)
        sum.free &+= zone.free
        sum.freeContiguous &+= zone.freeContiguous
    }

    /// Events since bring-up.
    @inline(never)
    private func writeEvents<Writer: ReportWriter>(to writer: inout Writer) {
        // Nothing is read from or written to a disk.
        CounterStyle.plain.write("pgpgin", 0, to: &writer)
        CounterStyle.plain.write("pgpgout", 0, to: &writer)
        CounterStyle.plain.write("pswpin", 0, to: &writer)
        CounterStyle.plain.write("pswpout", 0, to: &writer)
        let areas = vmalloc.value.statistics
        // What a first touch of an area or of a stack's page has caused, those included that came too late.
        let faults = areas.resolvedFaults &+ areas.spuriousFaults &+ stacks.value.figures.growths
        CounterStyle.plain.write("pgfault", faults, to: &writer)
        CounterStyle.plain.write("pgmajfault", 0, to: &writer)
        CounterStyle.plain.write("oom_kill", 0, to: &writer)
    }

    /// Writes Linux's `/proc/stat`, which readers of `vmstat` want beside it. There are no processes and no clock, and nobody
    /// measures what the CPUs' time goes to: all is 0 but the one thread that runs.
    ///
    /// - Complexity: O(CPUs). Any context.
    @inline(never)
    public func writeStat<Writer: ReportWriter>(to writer: inout Writer) {
        writer.write("cpu  0 0 0 0 0 0 0 0 0 0")
        writer.endLine()
        for cpu in 0..<P.cpuCount {
            writer.write("cpu")
            writer.write(decimal: UInt(cpu))
            writer.write(" 0 0 0 0 0 0 0 0 0 0")
            writer.endLine()
        }
        CounterStyle.plain.write("intr", 0, to: &writer)
        CounterStyle.plain.write("ctxt", 0, to: &writer)
        CounterStyle.plain.write("btime", 0, to: &writer)
        CounterStyle.plain.write("processes", 0, to: &writer)
        CounterStyle.plain.write("procs_running", 1, to: &writer)
        CounterStyle.plain.write("procs_blocked", 0, to: &writer)
        writer.write("softirq 0 0 0 0 0 0 0 0 0 0 0")
        writer.endLine()
    }
}
