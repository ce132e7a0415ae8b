import MemoryPrimitives
import X86

// For all files of this module: they name the machine's parts in many places.
@_exported import QuarryX86

/// The real machine as floors 0 to 5 see it. One CPU so far; they ask for its number all the same.
enum X86Platform: X86Uniprocessor {
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
