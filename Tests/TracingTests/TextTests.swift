import MemoryPrimitives
import PageFrames
import SimulatedMachine
import TestSupport
import Testing
import Tracing

/// Gathers what is written.
struct TextWriter: ReportWriter {
    var bytes: [UInt8] = []
    var text: String { String(decoding: bytes, as: UTF8.self) }

    mutating func write(_ byte: UInt8) { bytes.append(byte) }
}

@Suite struct TextTests {
    private let text = TraceText(ticksPerSecond: 1_000_000)

    private func line(_ event: TraceEvent, ticksPerSecond: UInt64 = 1_000_000) -> String {
        var writer = TextWriter()
        TraceText(ticksPerSecond: ticksPerSecond).write(event, to: &writer)
        return writer.text
    }

    private func parse(_ line: String) throws(TraceTextError) -> TraceLine {
        let bytes = Array(line.utf8)
        return try bytes.withUnsafeBytes { bytes in
            Result { () throws(TraceTextError) in try TraceParser.parse(bytes) }
        }.get()
    }

    private func event(_ line: String) throws -> TraceEvent {
        guard case .event(let event) = try parse(line) else { throw TraceTextError.noEvent }
        return event
    }

    private var kmalloc: TraceEvent {
        var event = TraceEvent(
            .kmalloc, 0xffff_8880_1234_5600, requested: 100, allocated: 104,
            flags: (AllocationFlags.kernel | .zero).rawValue)
        event.time = 12_345_678
        event.caller = 0xffff_ffff_8010_2030
        return event
    }

    /// The lines of Linux 6.1's own format strings (include/trace/events/kmem.h), with its task and time columns.
    @Test func linesAreThoseOfLinux() {
        #expect(
            line(kmalloc)
                == "          kernel-0       [000] .....    12.345678: kmalloc: call_site=0xffffffff80102030 "
                + "ptr=ffff888012345600 bytes_req=100 bytes_alloc=104 gfp_flags=GFP_KERNEL|__GFP_ZERO node=-1 "
                + "accounted=false\n")
        var free = TraceEvent(.cacheFree, 0xffff_8880_0000_1000)
        free.name = TraceName("vmap_area")
        free.cpu = 3
        free.isAtomic = true
        free.depth = 2
        free.time = 1
        #expect(
            line(free)
                == "       allocator-2       [003] d..1.     0.000001: kmem_cache_free: call_site=0x0000000000000000 "
                + "ptr=ffff888000001000 name=vmap_area\n")
        var pages = TraceEvent(
            .pageAllocation, 0x1f2, requested: 3, allocated: 0xffff_ea00_0000_7c80,
            flags: AllocationFlags.highUserMovable.rawValue)
        pages.time = 99_999_999_999
        #expect(
            line(pages)
                == "          kernel-0       [000] ..... 99999.999999: mm_page_alloc: page=ffffea0000007c80 pfn=0x1f2 "
                + "order=3 migratetype=1 gfp_flags=GFP_HIGHUSER_MOVABLE\n")
        pages.kind = .pageFree
        #expect(line(pages).hasSuffix(": mm_page_free: page=ffffea0000007c80 pfn=0x1f2 order=3\n"))
        var fault = TraceEvent(.pageFault, 0xffff_c900_0000_1008)
        fault.caller = 0xffff_ffff_8010_0000
        fault.size = 2
        #expect(
            line(fault).hasSuffix(
                ": page_fault_kernel: address=0xffffc90000001008 ip=0xffffffff80100000 error_code=0x2\n"))
    }

    @Test func timesAreRoundedDownToMicroseconds() {
        var event = TraceEvent(.kfree, 16)
        event.time = 3_000_000_000 * 7 + 2_999_999_999
        #expect(line(event, ticksPerSecond: 3_000_000_000).contains("     7.999999: kfree"))
        event.time = 3_000_000_000 * 7 + 3_000
        #expect(line(event, ticksPerSecond: 3_000_000_000).contains("     7.000001: kfree"))
    }

    @Test func headerIsThatOfLinux() throws {
        var writer = TextWriter()
        text.writeHeader(waiting: 5, written: 17, cpuCount: 4, to: &writer)
        let lines = writer.text.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines[0] == "# tracer: nop")
        #expect(lines[2] == "# entries-in-buffer/entries-written: 5/17   #P:4")
        #expect(lines[4] == "#                                _-----=> irqs-off/BH-disabled")
        #expect(lines[10] == "#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION")
        // The columns are where the header points to.
        let columns = Array(lines[11])
        let example = Array(line(kmalloc))
        #expect(columns[27] == "|" && example[27] == "0")
        for place in 31..<36 { #expect(columns[place] == "|" && example[place] == ".") }
        for line in lines { guard case .comment = try parse(String(line)) else { throw TraceTextError.noEvent } }
    }

    /// Whatever the fields, what is written is read back.
    @Test func eventsAreReadBack() throws {
        var generator = SeededGenerator.fromEnvironment(default: 6)
        let modifiers: [AllocationFlags] = [
            .kernel, .atomic, .noWait, .zero, .compound, .movable, .noWarn, .dma, .dma32,
        ]
        for _ in 0..<3000 {
            let kind = TraceKind(rawValue: UInt8(generator.next() % UInt64(TraceKind.count)))!
            var event = TraceEvent(kind, UInt(generator.next() >> (generator.next() & 63)))
            event.time = generator.next() >> 20
            event.cpu = UInt16(generator.next() & 511)
            event.isAtomic = generator.next() & 1 != 0
            event.depth = generator.next() & 3 == 0 ? UInt8(truncatingIfNeeded: generator.next()) : 0
            if kind != .pageAllocation, kind != .pageFree { event.caller = UInt(generator.next()) }
            var flags = AllocationFlags.none
            for flag in modifiers where generator.next() & 1 != 0 { flags.formUnion(flag) }
            switch kind {
            case .kmalloc, .cacheAllocation, .vmalloc:
                event.size = UInt(generator.next() >> 30)
                event.extent = UInt(generator.next() >> 30)
                event.flags = flags.rawValue
                if kind == .vmalloc { event.name = TraceName("on_demand") }
            case .pageAllocation, .pageFree:
                event.size = UInt(generator.next() % 11)
                event.extent = UInt(generator.next())
                if kind == .pageAllocation { event.flags = flags.rawValue }
            case .map:
                event.size = UInt(generator.next() >> 12) << 12
                event.extent = UInt(generator.next() >> 12)
                event.flags = UInt32(generator.next() & 0xffff)
                event.name = TraceName("vmap")
            case .unmap: event.name = TraceName("vunmap")
            case .cacheFree: event.name = TraceName("a-name-of-31-bytes-is-the-longest")
            case .pageFault: event.size = UInt(generator.next() & 31)
            case .kfree, .vfree: break
            }
            let written = line(event)
            #expect(try self.event(String(written.dropLast())) == event, "\(written)")
        }
    }

    /// Lines as a Linux kernel has them.
    @Test func linesOfLinuxAreRead() throws {
        let kmalloc = try event(
            "            bash-1234    [002] d..2.   305.123456: kmalloc: call_site=load_elf_phdrs+0x4b/0xa0 "
                + "ptr=00000000a1b2c3d4 bytes_req=728 bytes_alloc=1024 gfp_flags=GFP_KERNEL node=-1 accounted=false")
        #expect(kmalloc.size == 728 && kmalloc.extent == 1024 && kmalloc.cpu == 2 && kmalloc.time == 305_123_456)
        #expect(kmalloc.address == 0xa1b2_c3d4 && kmalloc.caller == 0 && kmalloc.isAtomic && !kmalloc.isNested)
        let free = try event(
            "  kworker/0:1-12   [000]   305.1: mm_page_free: page=00000000a1b2c3d4 pfn=0x10a23 order=0")
        #expect(free.address == 0x10a23 && free.kind == .pageFree)
        let fault = try event(
            "     cat-7     [000] d....     1.000002: page_fault_kernel: address=0x7ffd1000 ip=clear_user+0x1/0x20 [mod] error_code=0x2"
        )
        #expect(fault.address == 0x7ffd_1000 && fault.size == 2)
        guard case .other = try parse("   cat-7     [000] d....     1.000002: sched_switch: prev_comm=cat") else {
            Issue.record("not of the allocators")
            return
        }
        guard case .lost(3251, 1) = try parse("CPU:1 [LOST 3251 EVENTS]") else {
            Issue.record("lost events")
            return
        }
    }

    @Test func badLinesAreNamed() {
        let place = "          kernel-0       [000] .....    12.345678: "
        let bad: [(String, TraceTextError)] = [
            ("nonsense", .noTask),
            ("kernel [000] ..... 1.0: kfree: ptr=0", .noTask),
            ("kernel-x [000] ..... 1.0: kfree: ptr=0", .noTask),
            ("kernel-0 [abc] ..... 1.0: kfree: ptr=0", .noCPU),
            ("kernel-0 [000 ..... 1.0: kfree: ptr=0", .noCPU),
            ("kernel-0 [000] ..... kfree: ptr=0", .noTime),
            ("kernel-0 [000] ..... 1.0: kfree", .noEvent),
            (place + "kfree: call_site=0", .fieldMissing("ptr=")),
            (place + "kfree: ptr=xyz", .badField("ptr=")),
            (place + "kfree: ptr=11112222333344445", .badField("ptr=")),
            (place + "kmalloc: ptr=1 bytes_req=1 gfp_flags=GFP_KERNEL", .fieldMissing("bytes_alloc=")),
            (place + "kmalloc: ptr=1 bytes_req=-1 bytes_alloc=8 gfp_flags=GFP_KERNEL", .badField("bytes_req=")),
            (place + "kmalloc: ptr=1 bytes_req=1 bytes_alloc=8 gfp_flags=GFP_NOSUCH", .badField("gfp_flags=")),
            (place + "mm_page_alloc: page=1 order=0 gfp_flags=none", .fieldMissing("pfn=")),
            ("CPU:x [LOST 1 EVENTS]", .noCPU),
        ]
        for (line, error) in bad { #expect(throws: error) { try parse(line) } }
    }
}
