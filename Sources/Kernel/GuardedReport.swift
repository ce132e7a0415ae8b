import KernelMemory
import MemoryPrimitives
import Slab
import VirtualMemory
import X86

/// What the kernel says about guarded objects (`kfence.sample_interval=`): that they are there, and what was done wrong
/// with one.
enum GuardedReport {
    private static var pool: Permanent<GuardedPool<X86Platform>>? { unsafe Quarry.memory?.value.guardedPool }

    @inline(never)
    static func logPool(_ options: SlabOptions) {
        if options.sampleInterval == 0 { return }
        guard let pool else {
            return Log.warning("kfence: too little memory for \(options.guardedObjectCount) objects; none is guarded")
        }
        Log.info(
            """
            kfence: \(pool.value.range), \(pool.value.objectCount) objects; of the allocations that can be guarded one in \
            \(options.sampleInterval) is
            """)
    }

    /// Writes what a page fault is to the pool. - Returns: false, with nothing written, where it has nothing to do with it.
    @inline(never)
    static func write(_ address: VirtualAddress, _ error: PageFaultError, _ frame: UnsafePointer<ExceptionFrame>)
        -> Bool
    {
        guard let pool,
            let found = pool.value.diagnose(address, access: FaultAccess(errorCode: UInt64(error.rawValue)))
        else { return false }
        var trace = StackTrace()
        unsafe trace.append(frame.pointee.rip)
        unsafe Backtrace.forEachCaller(ofFrame: frame.pointee.rbp) { trace.append($0) }
        var writer = SerialReportWriter()
        pool.value.write(found, trace, to: &writer)
        return true
    }

    /// Writes what a violation is to the pool, where it is about a guarded object.
    @inline(never)
    static func write(_ violation: MemoryViolation) {
        guard let pool, let found = pool.value.diagnose(violation) else { return }
        var trace = StackTrace()
        // The nearest caller is the handler of violations.
        var isHandler = true
        Backtrace.forEachCaller(ofFrame: x86_frame_pointer()) { caller in
            if !isHandler { return trace.append(caller) }
            isHandler = false
            return true
        }
        var writer = SerialReportWriter()
        pool.value.write(found, trace, to: &writer)
    }
}
