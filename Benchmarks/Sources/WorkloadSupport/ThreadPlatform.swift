import HostSupport
import MemoryPrimitives

/// A machine of two CPUs, each of them a thread of the host's. Interrupts, whose flag is the thread's own, never come.
package enum ThreadPlatform: Platform {
    package static var cpuCount: Int { 2 }

    @inline(__always)
    package static var currentCPU: Int { host_thread_get_cpu() }

    @inline(__always)
    package static func disableInterrupts() -> InterruptState {
        let state = InterruptState(rawValue: host_thread_get_interrupts())
        host_thread_set_interrupts(0)
        return state
    }

    @inline(__always)
    package static func restoreInterrupts(_ state: InterruptState) { host_thread_set_interrupts(state.rawValue) }

    @inline(__always)
    package static var mayWait: Bool { host_thread_get_depth() == 0 }

    @inline(__always)
    package static func enterAtomicContext() { host_thread_set_depth(host_thread_get_depth() &+ 1) }

    @inline(__always)
    package static func leaveAtomicContext() { host_thread_set_depth(host_thread_get_depth() &- 1) }

    package static func flushPage(_ address: VirtualAddress) {}

    package static func flushAllPages() {}

    package static func relax() { host_relax() }

    package static var cycleCounter: UInt64 { host_nanoseconds() }

    package static func fillRandom(_ buffer: UnsafeMutableRawBufferPointer) {
        unsafe HostPlatform.fillRandom(buffer)
    }

    package static func report(_ violation: MemoryViolation) { expect(false, violation.detail) }

    package static func report(_ failure: FailedAllocation) {}
}
