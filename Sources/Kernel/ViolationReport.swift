import KernelMemory
import MemoryPrimitives
import PageFrames
import Slab
import X86

/// What the kernel does about a broken rule of memory management: name it, and stop before harm spreads.
///
/// Self tests that break a rule on purpose say so first; their violations are counted instead.
enum ViolationReport {
    nonisolated(unsafe) private static var isExpecting = false
    nonisolated(unsafe) private static var last: MemoryViolation?

    static func handle(_ violation: MemoryViolation) {
        // A lock that this CPU holds already would be waited for in vain: that is fatal even to a test.
        if unsafe isExpecting, violation.kind != .lockMisuse {
            unsafe last = violation
            return
        }
        if violation.kind == .waitInAtomicContext { return warnOfWait(violation) }
        if violation.mayContinue { return goOn(after: violation) }
        FatalReport.begin()
        GuardedReport.write(violation)
        Log.fatal("\(violation.call): \(name(of: violation.kind))")
        Log.fatal("address \(hex: violation.address, digits: 16): \(violation.detail) (\(violation.value))")
        if violation.byteCount > 0 {
            Log.fatal(
                """
                the byte there is \(hex: violation.value, digits: 2), \(violation.byteCount) bytes differ; \
                offset \(hex: violation.address &- violation.origin) from \(hex: violation.origin, digits: 12)
                """)
        }
        if isFrame(violation) {
            reportFrame(violation)
        } else {
            Log.fatal("that address is \(describing: violation.address)")
            if violation.kind != .lockMisuse { reportSlab(violation) }
        }
        Backtrace.printCallers(ofFrame: x86_frame_pointer())
        FatalReport.end(.memoryCorruption)
    }

    /// What is said of a frame is said of its physical address: no kernel pointer is that low.
    private static func isFrame(_ violation: MemoryViolation) -> Bool {
        violation.kind != .lockMisuse && violation.kind != .brokenPromise
            && KernelLayout.isBelowEveryRegion(violation.address)
    }

    /// Names the frame, its state and, where that is noted down, who had it.
    @inline(never)
    private static func reportFrame(_ violation: MemoryViolation) {
        Log.fatal("that is the physical address of frame \(violation.address >> PageSize.shift)")
        guard let memory = unsafe Quarry.memory else { return }
        var writer = SerialReportWriter()
        let frames = memory.value.frames
        frames.value.writeReport(on: PageFrameNumber(violation.origin >> PageSize.shift), to: &writer)
    }

    /// SLUB's report, where the violation is about a slab.
    @inline(never)
    private static func reportSlab(_ violation: MemoryViolation) {
        guard let memory = unsafe Quarry.memory else { return }
        var writer = SerialReportWriter()
        memory.value.kmalloc.value.writeReport(on: violation, to: &writer)
    }

    /// With `slab_errors=continue`: says what is wrong, and what is done about it.
    @inline(never)
    private static func goOn(after violation: MemoryViolation) {
        Log.error("\(violation.call): \(name(of: violation.kind)): address \(hex: violation.address, digits: 16)")
        GuardedReport.write(violation)
        reportSlab(violation)
        Backtrace.printCallers(ofFrame: x86_frame_pointer())
        guard let memory = unsafe Quarry.memory else { return }
        var writer = SerialReportWriter()
        memory.value.kmalloc.value.writeRemedy(for: violation, to: &writer)
    }

    /// The request has been served without waiting, so that nothing is broken yet: names the caller and goes on.
    @inline(never)
    private static func warnOfWait(_ violation: MemoryViolation) {
        let flags = AllocationFlags(rawValue: UInt32(truncatingIfNeeded: violation.address))
        Log.warning("\(violation.call): \(name(of: violation.kind)): order \(violation.value)")
        var writer = SerialReportWriter()
        writer.write("mode:")
        writer.write(mode: flags)
        writer.endLine()
        Backtrace.printCallers(ofFrame: x86_frame_pointer())
    }

    /// Runs `body`, which breaks a rule, and returns what was reported; nil where nothing was.
    static func expect(_ body: () -> Void) -> MemoryViolation? {
        unsafe isExpecting = true
        unsafe last = nil
        body()
        unsafe isExpecting = false
        return unsafe last
    }

    static func name(of kind: MemoryViolation.Kind) -> StaticString {
        switch kind {
        case .doubleFree: "double free"
        case .wildFree: "free of an address that was never allocated"
        case .misalignedFree: "free of an address within an object or block"
        case .wrongOrder: "free with the wrong order"
        case .freeOfTail: "free of a frame within a block"
        case .lockMisuse: "misuse of a lock"
        case .corruption: "damaged structure"
        case .brokenPromise: "a promise of frames that was not made"
        case .writeAfterFree: "write after free"
        case .overrun: "write beyond the end of a block"
        case .underrun: "write before the start of an object"
        case .waitInAtomicContext: "a request that may wait, where waiting is not allowed"
        case .wrongCache: "free to a cache that the object is not of"
        case .objectInUse: "a cache with objects in use is destroyed"
        case .missingCache: "a cache that must be there could not be made"
        case .mapsMemory: "RAM is to be mapped as a device's"
        case .badMapping: "misuse of a mapping for a device"
        case .badReference: "a reference to a block that is not in use"
        }
    }
}
