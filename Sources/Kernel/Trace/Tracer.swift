import KernelMemory
import MemoryPrimitives
import PageFrames
import Tracing
import X86

/// The trace of the kernel's calls on its allocators: where the events go, and how they come out.
///
///     allocator's slow way -> X86Platform.trace -> record -> this CPU's ring --overwrites its oldest--> `report=trace`, `trace show`
///                                                                 '--streamed: when it is full, and at the end--> COM2
///
/// Recording allocates nothing and takes no lock: it may come from the page-fault handler, and with any lock held.
enum Tracer {
    nonisolated(unsafe) private static var buffer: TraceBuffer<X86Platform>?
    nonisolated(unsafe) private static var ticksPerSecond: UInt64 = 0
    /// Whether events go to COM2.
    nonisolated(unsafe) private static var streams = false
    nonisolated(unsafe) private static var isDraining = false
    nonisolated(unsafe) private static var sentEvents: UInt64 = 0
    /// The lost events that the stream says were lost.
    nonisolated(unsafe) private static var toldLost: UInt64 = 0
    /// Whether the ring is printed when the kernel ends.
    nonisolated(unsafe) private static var reportsAtEnd = false

    /// Which events are traced; none where tracing is off.
    static var selection: TraceSelection { X86Platform.tracedEvents }

    // MARK: On and off

    /// Does what the command line asks for.
    static func start(_ memory: Permanent<KernelMemory<X86Platform>>, _ parameters: TraceParameters) {
        if parameters.selection.rawValue == 0 { return }
        if !prepare(memory, byteCount: parameters.byteCount) {
            return Log.warning("trace: no memory for \(bytes: parameters.byteCount) of events")
        }
        unsafe reportsAtEnd = parameters.isReported
        if parameters.streams { startStream() }
        turnOn(memory, parameters.selection)
        unsafe Log.info("trace: on, room for \(capacity) events, \(ticksPerSecond / 1000) ticks a millisecond")
    }

    /// Makes room for events, unless there is. - Returns: false where there is no memory.
    @inline(never)
    static func prepare(_ memory: Permanent<KernelMemory<X86Platform>>, byteCount: UInt) -> Bool {
        if unsafe buffer != nil { return true }
        let frames = memory.value.frames
        let pages = max(1, byteCount >> PageSize.shift)
        let order = min(10, UInt.bitWidth - 1 - pages.leadingZeroBitCount)
        guard let frame = frames.value.allocate(order: order, flags: .kernel | .noWarn | .noLeakTrace) else {
            return false
        }
        let capacity = TraceBuffer<X86Platform>.capacity(inBytes: Int(PageSize.byteCount) << order)
        // The block is the tracer's for good.
        unsafe buffer = TraceBuffer(in: memory.value.directMap.pointer(to: frame), capacity: capacity)
        unsafe ticksPerSecond = TraceClock.measure()
        return true
    }

    @inline(never)
    private static func startStream() {
        if !TracePort.start() {
            Log.warning("trace: no port at COM2: what does not fit is dropped")
        }
        unsafe streams = true
        var writer = SerialReportWriter(form: .traceToPort)
        text.writeHeader(waiting: 0, written: 0, cpuCount: X86Platform.cpuCount, to: &writer)
        TraceBytes.flush()
    }

    /// Traces the events of `selection` from now on, after `prepare`; none to turn tracing off.
    static func turnOn(_ memory: Permanent<KernelMemory<X86Platform>>, _ selection: TraceSelection) {
        if selection.rawValue != 0 { unsafe X86Platform.tracedBits = selection.rawValue }
        memory.value.setTracing(selection)
        unsafe X86Platform.tracedBits = selection.rawValue
    }

    // MARK: Recording

    /// Takes note of an event. Any context.
    @inline(never)
    static func record(_ event: borrowing TraceEvent) {
        guard unsafe buffer != nil, selection.contains(event.kind) else { return }
        var event = copy event
        event.time = Log.now
        event.depth = unsafe UInt8(clamping: X86Platform.traceDepth)
        event.isAtomic = !X86Platform.mayWait
        if event.caller == 0, event.kind != .pageAllocation, event.kind != .pageFree { event.caller = CallSite.find() }
        if unsafe streams { return stream(event) }
        unsafe buffer?.writeOver(event)
    }

    @inline(never)
    private static func stream(_ event: borrowing TraceEvent) {
        if write(event) { return }
        // What may not wait makes room for itself and little more.
        drain(event.isAtomic ? 16 : 512)
        if !write(event) { unsafe buffer?.drop(onCPU: Int(event.cpu)) }
    }

    private static func write(_ event: borrowing TraceEvent) -> Bool { unsafe buffer?.tryWrite(event) ?? true }

    // MARK: Streaming

    /// Sends up to `limit` events to COM2, the oldest first. Who comes in between finds room for a first event, and does not
    /// send: its events are dropped where there is no more.
    ///
    /// On the boot stack, which nobody needs once the kernel has another: who is traced may have little left.
    @inline(never)
    static func drain(_ limit: UInt) {
        if unsafe isDraining || !TracePort.isAlive { return }
        unsafe isDraining = true
        switch_stack(boot_stack_end_address(), { limit in Tracer.send(limit) }, limit)
        unsafe isDraining = false
    }

    private static func send(_ limit: UInt) {
        var writer = SerialReportWriter(form: .traceToPort)
        var left = limit
        while left > 0, TracePort.isAlive, let event = unsafe buffer?.read() {
            tellLost(to: &writer)
            text.write(event, to: &writer)
            unsafe sentEvents += 1
            left -= 1
        }
        TraceBytes.flush()
    }

    private static func tellLost(to writer: inout SerialReportWriter) {
        let lost = counts.lost
        if unsafe lost == toldLost { return }
        unsafe text.writeLost(lost - toldLost, cpu: 0, to: &writer)
        unsafe toldLost = lost
    }

    /// Whether there is anything to `finish`.
    static var isPrepared: Bool { unsafe buffer != nil }

    /// Ends the trace with the kernel: sends or prints what is there, and says what came of it. Any context, once.
    @inline(never)
    static func finish() {
        // Nobody is interrupted in the midst of sending who would go on.
        unsafe X86Platform.tracedBits = 0
        unsafe isDraining = false
        if unsafe reportsAtEnd {
            Log.plain("--- trace")
            writeReport()
            Log.plain("--- end trace")
        }
        if unsafe streams { finishStream() }
        let counts = counts
        Log.info(
            """
            trace: \(counts.written) events written, \(unsafe sentEvents) sent, \(counts.waiting) in the ring, \
            \(counts.overwritten) overwritten, \(counts.dropped) dropped
            """)
        unsafe buffer = nil
    }

    @inline(never)
    private static func finishStream() {
        send(.max)
        if !TracePort.isAlive { return }
        var writer = SerialReportWriter(form: .traceToPort)
        tellLost(to: &writer)
        TraceBytes.flush()
    }

    // MARK: Reports

    static var counts: TraceBuffer<X86Platform>.Counts {
        unsafe buffer?.counts ?? TraceBuffer<X86Platform>.Counts()
    }

    /// The events that there is room for; 0 before `prepare`.
    static var capacity: Int { unsafe buffer?.capacity ?? 0 }

    private static var text: TraceText { TraceText(ticksPerSecond: unsafe ticksPerSecond) }

    /// Writes what is in the ring, which stays, to the serial line.
    @inline(never)
    static func writeReport() {
        var writer = SerialReportWriter(form: .trace)
        let counts = counts
        text.writeHeader(
            waiting: counts.waiting, written: counts.written, cpuCount: X86Platform.cpuCount, to: &writer)
        if counts.lost > 0 { text.writeLost(counts.lost, cpu: 0, to: &writer) }
        unsafe buffer?.forEach { event in text.write(event, to: &writer) }
    }
}

/// How long a tick is.
enum TraceClock {
    /// Ticks of the time stamp counter in a second, measured with the timer (channel 2 of the 8254) for 10 ms; as if it ran at
    /// 1 GHz where there is no timer.
    static func measure() -> UInt64 {
        let count: UInt64 = 11932
        let gate = x86_in8(0x61)
        // Let it count, without sound.
        x86_out8(0x61, gate & ~2 | 1)
        // Channel 2, both bytes, one shot.
        x86_out8(0x43, 0xb0)
        x86_out8(0x42, UInt8(truncatingIfNeeded: count))
        x86_out8(0x42, UInt8(truncatingIfNeeded: count >> 8))
        let start = x86_read_time_stamp()
        var patience = 1_000_000
        while x86_in8(0x61) & 0x20 == 0, patience > 0 { patience -= 1 }
        let ticks = x86_read_time_stamp() &- start
        x86_out8(0x61, gate)
        return patience == 0 || ticks == 0 ? 1_000_000_000 : ticks * 1_193_182 / count
    }
}
