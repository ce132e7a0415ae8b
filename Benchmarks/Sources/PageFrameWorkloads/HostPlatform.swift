import HostSupport
import MemoryPrimitives

/// A machine of one CPU whose interrupt flag is a variable. All locks and checks are those of the kernel.
enum HostPlatform: Platform {
    nonisolated(unsafe) private static var interruptFlag: UInt = 1

    static var cpuCount: Int { 1 }

    static var currentCPU: Int { 0 }

    @inline(__always)
    static func disableInterrupts() -> InterruptState {
        let state = unsafe InterruptState(rawValue: interruptFlag)
        unsafe interruptFlag = 0
        return state
    }

    @inline(__always)
    static func restoreInterrupts(_ state: InterruptState) { unsafe interruptFlag = state.rawValue }

    /// How many spin locks are held, counted as the kernel does.
    nonisolated(unsafe) private static var atomicDepth: UInt32 = 0

    @inline(__always)
    static var mayWait: Bool { unsafe atomicDepth == 0 }

    @inline(__always)
    static func enterAtomicContext() { unsafe atomicDepth &+= 1 }

    @inline(__always)
    static func leaveAtomicContext() { unsafe atomicDepth &-= 1 }

    static func flushPage(_ address: VirtualAddress) {}

    static func flushAllPages() {}

    static func relax() {}

    static var cycleCounter: UInt64 { host_nanoseconds() }

    static func fillRandom(_ buffer: UnsafeMutableRawBufferPointer) {
        var generator = Generator()
        for index in buffer.indices { unsafe buffer[index] = UInt8(truncatingIfNeeded: generator.next()) }
    }

    static func report(_ violation: MemoryViolation) { expect(false, violation.detail) }

    static func report(_ failure: FailedAllocation) {}
}
