import HostSupport
import MemoryPrimitives

/// A machine of one CPU whose interrupt flag is a variable. All locks and checks are those of the kernel.
package enum HostPlatform: Platform {
    nonisolated(unsafe) private static var interruptFlag: UInt = 1

    package static var cpuCount: Int { 1 }

    package static var currentCPU: Int { 0 }

    @inline(__always)
    package static func disableInterrupts() -> InterruptState {
        let state = unsafe InterruptState(rawValue: interruptFlag)
        unsafe interruptFlag = 0
        return state
    }

    @inline(__always)
    package static func restoreInterrupts(_ state: InterruptState) { unsafe interruptFlag = state.rawValue }

    /// How many spin locks are held, counted as the kernel does.
    nonisolated(unsafe) private static var atomicDepth: UInt32 = 0

    @inline(__always)
    package static var mayWait: Bool { unsafe atomicDepth == 0 }

    @inline(__always)
    package static func enterAtomicContext() { unsafe atomicDepth &+= 1 }

    @inline(__always)
    package static func leaveAtomicContext() { unsafe atomicDepth &-= 1 }

    package static func flushPage(_ address: VirtualAddress) {}

    package static func flushAllPages() {}

    package static func relax() {}

    package static var cycleCounter: UInt64 { host_nanoseconds() }

    package static func fillRandom(_ buffer: UnsafeMutableRawBufferPointer) {
        var generator = Generator()
        for index in buffer.indices { unsafe buffer[index] = UInt8(truncatingIfNeeded: generator.next()) }
    }

    package static func report(_ violation: MemoryViolation) { expect(false, violation.detail) }

    package static func report(_ failure: FailedAllocation) {}
}
