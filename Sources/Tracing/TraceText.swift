import MemoryPrimitives
import PageFrames

/// A trace as text, as Linux 6.1's `trace` file in tracefs has it: a header, and a line for each event.
///
///     #           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
///               kernel-0       [000] .....    12.345678: kmalloc: call_site=... ptr=ffff888000123400 bytes_req=100 ...
///
/// The task is `kernel` with PID 0 for a call of the allocators' users, and `allocator` for a nested one, with its depth as PID.
/// Events that Linux has no such line of (`vmalloc`, `vfree`, `map`, `unmap`) are written in the same style.
public struct TraceText: Sendable {
    /// How long a second is, in ticks of the events' time.
    public var ticksPerSecond: UInt64

    /// The text of events with such times. - Parameter ticksPerSecond: of the events' time; 0 counts as 1.
    public init(ticksPerSecond: UInt64) { self.ticksPerSecond = max(1, ticksPerSecond) }

    /// Writes the lines before the first event.
    /// - Parameters:
    ///   - waiting: the events that follow.
    ///   - written: those that were written in all.
    ///   - cpuCount: the machine's CPUs.
    ///   - writer: where the header goes.
    @inline(never)
    public func writeHeader<W: ReportWriter>(waiting: UInt64, written: UInt64, cpuCount: Int, to writer: inout W) {
        writer.write("# tracer: nop\n#\n# entries-in-buffer/entries-written: ")
        writer.write(decimal: UInt(waiting))
        writer.write("/")
        writer.write(decimal: UInt(written))
        writer.write("   #P:")
        writer.write(decimal: UInt(bitPattern: cpuCount))
        writer.write(
            """

            #
            #                                _-----=> irqs-off/BH-disabled
            #                               / _----=> need-resched
            #                              | / _---=> hardirq/softirq
            #                              || / _--=> preempt-depth
            #                              ||| / _-=> migrate-disable
            #                              |||| /     delay
            #           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
            #              | |         |   |||||     |         |

            """)
    }

    /// Writes that events were lost, as Linux does.
    @inline(never)
    public func writeLost<W: ReportWriter>(_ count: UInt64, cpu: Int, to writer: inout W) {
        writer.write("CPU:")
        writer.write(decimal: UInt(bitPattern: cpu))
        writer.write(" [LOST ")
        writer.write(decimal: UInt(count))
        writer.write(" EVENTS]\n")
    }

    /// Writes an event's line. Code addresses are written as the writer knows them.
    @inline(never)
    public func write<W: ReportWriter>(_ event: borrowing TraceEvent, to writer: inout W) {
        writePlace(event, to: &writer)
        writeTime(event.time, to: &writer)
        writer.write(event.kind == .pageFault ? "page_fault_kernel" : event.kind.name)
        writer.write(": ")
        switch event.kind {
        case .pageAllocation, .pageFree: writePages(event, to: &writer)
        case .pageFault: writeFault(event, to: &writer)
        default: writeCall(event, to: &writer)
        }
        writer.endLine()
    }

    /// "          kernel-0       [000] ..... "
    private func writePlace<W: ReportWriter>(_ event: borrowing TraceEvent, to writer: inout W) {
        writer.write(event.isNested ? "allocator" : "kernel", width: 16)
        writer.write("-")
        writer.write(decimal: UInt(event.depth))
        writer.write(event.depth < 10 ? "       [" : event.depth < 100 ? "      [" : "     [")
        if event.cpu < 100 { writer.write(event.cpu < 10 ? "00" : "0") }
        writer.write(decimal: UInt(event.cpu))
        writer.write(event.isAtomic ? "] d..1. " : "] ..... ")
    }

    /// "   12.345678: "
    private func writeTime<W: ReportWriter>(_ ticks: UInt64, to writer: inout W) {
        writer.write(decimal: UInt(ticks / ticksPerSecond), width: 5)
        writer.write(".")
        // Below a second, and a product of less than 2^64 for any clock below 18 THz.
        let microseconds = UInt(ticks % ticksPerSecond * 1_000_000 / ticksPerSecond)
        var limit: UInt = 100_000
        while limit > 1, microseconds < limit {
            writer.write("0")
            limit /= 10
        }
        writer.write(decimal: microseconds)
        writer.write(": ")
    }

    private func writeCall<W: ReportWriter>(_ event: borrowing TraceEvent, to writer: inout W) {
        writer.write("call_site=")
        writer.write(returnAddress: event.caller)
        writer.write(" ptr=")
        writer.write(hex: event.address, digits: 16)
        switch event.kind {
        case .kmalloc, .cacheAllocation, .vmalloc:
            writer.write(" bytes_req=")
            writer.write(decimal: event.size)
            writer.write(" bytes_alloc=")
            writer.write(decimal: event.extent)
            writeFlags(event.flags, to: &writer)
            if event.kind == .vmalloc {
                writer.write(" backing=")
                writer.write(event.name)
            } else {
                writer.write(" node=-1 accounted=false")
            }
        case .cacheFree:
            writer.write(" name=")
            writer.write(event.name)
        case .map, .unmap: writeMapping(event, to: &writer)
        default: break
        }
    }

    private func writeMapping<W: ReportWriter>(_ event: borrowing TraceEvent, to writer: inout W) {
        writer.write(" bytes=")
        writer.write(decimal: event.size)
        if event.kind == .map {
            writer.write(" phys=0x")
            writer.write(hex: event.extent)
            writer.write(" prot=0x")
            writer.write(hex: UInt(event.flags))
        }
        writer.write(" by=")
        writer.write(event.name)
    }

    private func writePages<W: ReportWriter>(_ event: borrowing TraceEvent, to writer: inout W) {
        writer.write("page=")
        writer.write(hex: event.extent, digits: 16)
        writer.write(" pfn=0x")
        writer.write(hex: event.address)
        writer.write(" order=")
        writer.write(decimal: event.size)
        guard event.kind == .pageAllocation else { return }
        writer.write(" migratetype=")
        writer.write(decimal: UInt(AllocationFlags(rawValue: event.flags).mobility.rawValue))
        writeFlags(event.flags, to: &writer)
    }

    private func writeFault<W: ReportWriter>(_ event: borrowing TraceEvent, to writer: inout W) {
        writer.write("address=0x")
        writer.write(hex: event.address)
        writer.write(" ip=")
        writer.write(returnAddress: event.caller)
        writer.write(" error_code=0x")
        writer.write(hex: event.size)
    }

    private func writeFlags<W: ReportWriter>(_ flags: UInt32, to writer: inout W) {
        writer.write(" gfp_flags=")
        if flags == 0 { writer.write("none") } else { writer.write(AllocationFlags(rawValue: flags)) }
    }
}
