import MemoryPrimitives
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
        FatalReport.begin()
        Log.fatal("\(violation.call): \(name(of: violation.kind))")
        Log.fatal("address \(hex: violation.address, digits: 16): \(violation.detail) (\(violation.value))")
        if violation.address < AddressSpaceLayout.x86FourLevel.objectAlias.start.rawValue {
            // What is said of a frame is said of its physical address: no kernel pointer is that low.
            Log.fatal("that is the physical address of frame \(violation.address >> PageSize.shift)")
        } else {
            Log.fatal("that address is \(describing: violation.address)")
        }
        Backtrace.printCallers(ofFrame: x86_frame_pointer())
        FatalReport.end(.memoryCorruption)
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
        case .waitInAtomicContext: "a request that may wait, where waiting is not allowed"
        case .badReference: "a reference to a block that is not in use"
        }
    }
}
