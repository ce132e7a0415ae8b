import HostThreads
import MemoryPrimitives

/// The host's `Platform`: every requirement asks the machine that this thread is a CPU of.
public enum SimulatedPlatform: Platform {
    public static var cpuCount: Int { SimulatedMachine.current.cpuCount }

    public static var currentCPU: Int { host_thread_get_cpu() }

    public static func disableInterrupts() -> InterruptState { InterruptState(rawValue: 0) }

    public static func restoreInterrupts(_ state: InterruptState) {}

    public static func flushPage(_ address: VirtualAddress) {}

    public static func flushAllPages() {}

    public static func relax() {}

    public static var cycleCounter: UInt64 { 0 }

    public static func fillRandom(_ buffer: UnsafeMutableRawBufferPointer) {
        var generator = SystemRandomNumberGenerator()
        for index in buffer.indices { unsafe buffer[index] = generator.next() }
    }

    public static func report(_ violation: MemoryViolation) { SimulatedMachine.current.record(violation) }
}
