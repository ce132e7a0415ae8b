import HostThreads
import MemoryPrimitives

/// The host's `Platform`: every requirement asks the machine that this thread is a CPU of.
public enum SimulatedPlatform: Platform {
    /// The machine's number of CPUs.
    public static var cpuCount: Int { SimulatedMachine.current.cpuCount }

    /// Which CPU this thread is.
    public static var currentCPU: Int { host_thread_get_cpu() }

    /// Interrupts are a flag of the thread, and the state is how deep the disabling is nested.
    /// - Returns: how deep it was nested before.
    public static func disableInterrupts() -> InterruptState {
        let depth = host_thread_get_interrupt_depth()
        host_thread_set_interrupt_depth(depth + 1)
        return InterruptState(rawValue: UInt(depth))
    }

    /// Goes back to the depth that `disableInterrupts()` found.
    /// - Precondition: states are restored in the reverse order of their making.
    public static func restoreInterrupts(_ state: InterruptState) {
        precondition(
            host_thread_get_interrupt_depth() == Int(state.rawValue) + 1, "interrupt states are restored out of order")
        host_thread_set_interrupt_depth(Int(state.rawValue))
    }

    /// Whether this thread's CPU would take an interrupt now.
    public static var interruptsEnabled: Bool { host_thread_get_interrupt_depth() == 0 }

    /// A spin lock disables interrupts, so that both ways of being atomic show in the same flag.
    public static var mayWait: Bool { interruptsEnabled }

    /// Nothing: a lock that is held shows in the interrupt flag already.
    public static func enterAtomicContext() {}

    /// Nothing, as above.
    public static func leaveAtomicContext() {}

    /// Has every CPU forget the page.
    public static func flushPage(_ address: VirtualAddress) { SimulatedMachine.current.flushPage(address) }

    /// Has every CPU forget the pages, in one round.
    public static func flushPages(_ addresses: UnsafeBufferPointer<VirtualAddress>) {
        SimulatedMachine.current.flushPages(unsafe Array(addresses))
    }

    /// Has every CPU forget everything, global pages too.
    public static func flushAllPages() { SimulatedMachine.current.flushAllPages() }

    /// Has this CPU alone forget the page.
    public static func flushOwnPage(_ address: VirtualAddress) {
        SimulatedMachine.current.flushPage(address, of: currentCPU)
    }

    /// Has this CPU alone forget everything.
    public static func flushAllOwnPages() { SimulatedMachine.current.flushAllPages(of: currentCPU) }

    /// The holder of the lock may be a thread that the host does not run just now.
    public static func relax() { host_thread_yield() }

    /// Grows by one each time it is asked, so that tests repeat.
    public static var cycleCounter: UInt64 { SimulatedMachine.current.cycles.add(1, ordering: .relaxed).newValue }

    /// Fills the buffer with random bytes; always the same ones where the test gave the machine a seed for them.
    public static func fillRandom(_ buffer: UnsafeMutableRawBufferPointer) {
        let machine = SimulatedMachine.current
        for index in buffer.indices { unsafe buffer[index] = machine.nextRandomByte() }
    }

    /// Adds the callers that the test has set.
    public static func captureTrace(into trace: inout StackTrace) {
        for address in SimulatedMachine.current.trace { trace.append(address) }
    }

    /// Notes the violation down, or ends the process: as the machine's policy says.
    public static func report(_ violation: MemoryViolation) { SimulatedMachine.current.record(violation) }

    /// Notes the failed request down.
    public static func report(_ failure: FailedAllocation) { SimulatedMachine.current.record(failure) }

    /// Notes the call down.
    public static func report(_ traced: TracedObject) { SimulatedMachine.current.record(traced) }

    /// What the machine's `tracedEvents` are.
    public static var tracedEvents: TraceSelection { SimulatedMachine.current.tracedEvents }

    /// Calls the machine's `traceHandler`, where the event's kind was selected.
    public static func trace(_ event: borrowing TraceEvent) { SimulatedMachine.current.trace(copy event) }

    /// Counts the calls that are traced which the CPU is within. - Returns: how many there were before.
    public static func enterTracedCall() -> UInt { SimulatedMachine.current.traceDepths[currentCPU].enter() }

    /// Goes back to what `enterTracedCall` returned. - Parameter outer: that.
    public static func leaveTracedCall(_ outer: UInt) {
        SimulatedMachine.current.traceDepths[currentCPU].leave(outer)
    }
}
