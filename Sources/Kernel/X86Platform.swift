import MemoryPrimitives
import X86

/// The real machine as floors 0 to 5 see it. One CPU so far; they ask for its number all the same.
enum X86Platform: Platform {
    static var cpuCount: Int { 1 }

    static var currentCPU: Int { 0 }

    @inline(__always)
    static func disableInterrupts() -> InterruptState {
        InterruptState(rawValue: UInt(x86_save_and_disable_interrupts()))
    }

    @inline(__always)
    static func restoreInterrupts(_ state: InterruptState) {
        // EFLAGS.IF: only what was on is put on again.
        if state.rawValue & 1 << 9 != 0 { x86_enable_interrupts() }
    }

    /// How many spin locks this CPU holds and interrupts it is handling.
    nonisolated(unsafe) static var atomicDepth: UInt32 = 0

    @inline(__always)
    static var mayWait: Bool { unsafe atomicDepth == 0 }

    @inline(__always)
    static func enterAtomicContext() { unsafe atomicDepth &+= 1 }

    @inline(__always)
    static func leaveAtomicContext() { unsafe atomicDepth &-= 1 }

    @inline(__always)
    static func flushPage(_ address: VirtualAddress) { x86_invalidate_page(address.rawValue) }

    @inline(__always)
    static func flushPages(in range: VirtualRange) {
        var page = range.start
        while page < range.end {
            x86_invalidate_page(page.rawValue)
            page = page + PageSize.byteCount
        }
    }

    /// Writing CR4 with another PGE drops global translations too (Intel SDM vol. 3, 4.10.4.1); without global pages
    /// reloading CR3 drops all there are.
    static func flushAllPages() {
        let cr4 = x86_read_cr4()
        if cr4 & 1 << 7 != 0 {
            x86_write_cr4(cr4 & ~(1 << 7))
            x86_write_cr4(cr4)
        } else {
            x86_write_cr3(x86_read_cr3())
        }
    }

    // All the CPUs that there are.
    @inline(__always)
    static func flushOwnPage(_ address: VirtualAddress) { flushPage(address) }

    static func flushAllOwnPages() { flushAllPages() }

    /// Whether string stores are the fast way to clear pages on this CPU. True until its features are known.
    nonisolated(unsafe) static var hasFastStringStores = true

    @inline(__always)
    static func clear(_ start: UnsafeMutableRawPointer, byteCount: UInt) {
        // Bytes that the caller owns.
        unsafe x86_clear_by_strings(start, UInt64(byteCount))
    }

    @inline(__always)
    static func clearPages(_ start: UnsafeMutableRawPointer, count: Int) {
        // Whole pages that the caller owns.
        if unsafe hasFastStringStores {
            unsafe x86_clear_by_strings(start, UInt64(count) << UInt64(PageSize.shift))
        } else {
            unsafe clear_pages_by_vectors(start, UInt64(count))
        }
    }

    @inline(__always)
    static func relax() { x86_pause() }

    static var cycleCounter: UInt64 { x86_read_time_stamp() }

    static func fillRandom(_ buffer: UnsafeMutableRawBufferPointer) { unsafe RandomSource.fill(buffer) }

    @inline(never)
    static func captureTrace(into trace: inout StackTrace) {
        Backtrace.forEachCaller(ofFrame: x86_frame_pointer()) { trace.append($0) }
    }

    static func report(_ violation: MemoryViolation) { ViolationReport.handle(violation) }

    static func report(_ failure: FailedAllocation) { AllocationFailureLog.handle(failure) }

    static func report(_ traced: TracedObject) { SlabTrace.handle(traced) }

    /// The events that are traced, and how many calls that are traced this CPU is within. `Tracer` sets the first.
    nonisolated(unsafe) static var tracedBits: UInt32 = 0
    nonisolated(unsafe) static var traceDepth: UInt = 0

    @inline(__always)
    static var tracedEvents: TraceSelection { TraceSelection(rawValue: unsafe tracedBits) }

    static func trace(_ event: borrowing TraceEvent) { Tracer.record(event) }

    @inline(__always)
    static func enterTracedCall() -> UInt {
        let outer = unsafe traceDepth
        unsafe traceDepth = outer &+ 1
        return outer
    }

    @inline(__always)
    static func leaveTracedCall(_ outer: UInt) { unsafe traceDepth = outer }
}
