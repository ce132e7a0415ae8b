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
}
