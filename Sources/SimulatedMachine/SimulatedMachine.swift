import HostThreads
import MemoryPrimitives
import Synchronization

/// A machine for host tests: physical memory, CPUs, and a record of what the code under test reported.
///
/// Each host thread runs on one CPU of one machine, which `run(onCPU:_:)` chooses. `SimulatedPlatform`, whose
/// requirements are static, finds the machine through the thread.
public final class SimulatedMachine: @unchecked Sendable {
    /// The physical memory.
    public let arena: Arena
    /// How many CPUs there are.
    public let cpuCount: Int

    /// What to do when the code under test reports a violation.
    public enum ViolationPolicy: Sendable {
        /// Keep it for `takeViolations()`.
        case record
        /// End the process, with the violation's text.
        case trap
    }

    /// What happens where a violation is reported.
    public let violationPolicy: ViolationPolicy
    private let callers = HostLock<[UInt]>([])
    private let recorded = HostLock<[MemoryViolation]>([])
    private let recordedFailures = HostLock<[FailedAllocation]>([])
    private let recordedTraces = HostLock<[TracedObject]>([])
    private let recordedStale = HostLock<[StaleTranslation]>([])

    /// How the MMU translates. To be set before the first access.
    public var pagingControl = PagingControl()

    /// Called on a fault of a simulated access, on the thread that made it; true to try the access once more. To be set
    /// before the first access.
    public var pageFaultHandler: ((VirtualAddress, AccessKind) -> Bool)?

    /// Called with each violation that is recorded, on the thread that reports it, before the reporting code goes on. To
    /// be set before the first.
    public var violationHandler: ((MemoryViolation) -> Void)?

    /// Called at each flush, on the thread that asks for it, before any TLB forgets something: with what the tables say
    /// then, and what the CPUs still remember. To be set before the first.
    public var flushHandler: (() -> Void)?

    /// Whether flushes are lost: no TLB forgets anything, as where code leaves a flush out. What follows is a
    /// `StaleTranslation` where an access goes by what was to be forgotten.
    public var losesFlushes: Bool {
        get { flushesAreLost.load(ordering: .relaxed) }
        set { flushesAreLost.store(newValue, ordering: .relaxed) }
    }
    private let flushesAreLost = Atomic<Bool>(false)
    /// Called with each event that is traced, on the thread that makes the call. To be set before anything is.
    public var traceHandler: ((TraceEvent) -> Void)?

    let traced = Atomic<UInt32>(0)
    let traceDepths: [TraceDepth]

    /// Where the code under test gets its random bits from; nil, as at first, for the host's source. A generator repeats
    /// them: for tests whose every step is to follow from a seed.
    public var randomGenerator: SeededGenerator? {
        get { random.withLock { $0 } }
        set { random.withLock { $0 = newValue } }
    }
    private let random = HostLock<SeededGenerator?>(nil)

    /// The next random byte.
    func nextRandomByte() -> UInt8 {
        random.withLock { generator in
            if generator == nil { return .random(in: .min ... .max) }
            // The high bits are the better ones.
            return UInt8(truncatingIfNeeded: generator!.next() >> 56)
        }
    }

    let tlbs: [SimulatedTLB]
    let pageFlushes = Atomic<Int>(0)
    let fullFlushes = Atomic<Int>(0)
    let flushRounds = Atomic<Int>(0)
    let ownFlushes = Atomic<Int>(0)
    let cycles = Atomic<UInt64>(0)

    /// How often `flushPages` was called.
    public var flushRoundCount: Int { flushRounds.load(ordering: .relaxed) }

    /// Pages flushed one by one so far.
    public var pageFlushCount: Int { pageFlushes.load(ordering: .relaxed) }
    /// How often `flushAllPages` was called.
    public var fullFlushCount: Int { fullFlushes.load(ordering: .relaxed) }

    /// How often a CPU flushed pages that it alone forgot.
    public var ownFlushCount: Int { ownFlushes.load(ordering: .relaxed) }

    /// A machine with `memory` bytes of physical memory from address 0.
    public init(
        memory: UInt = 64 << 20, cpuCount: Int = 1, violations: ViolationPolicy = .record
    ) {
        traceDepths = (0..<cpuCount).map { _ in TraceDepth() }
        tlbs = (0..<cpuCount).map { _ in SimulatedTLB() }
        arena = Arena(byteCount: memory)
        self.cpuCount = cpuCount
        violationPolicy = violations
    }

    /// Runs `body` with this thread as CPU `cpu` of this machine, interrupts enabled. Calls may nest.
    ///
    /// - Precondition: `body` leaves interrupts as it found them.
    /// - Throws: what `body` throws.
    /// - Returns: what `body` returns.
    public func run<Result, Failure: Error>(
        onCPU cpu: Int = 0, _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        precondition(0 <= cpu && cpu < cpuCount)
        let outerMachine = unsafe host_thread_get_machine()
        let outerCPU = host_thread_get_cpu()
        let outerDepth = host_thread_get_interrupt_depth()
        // The machine outlives the body, which runs within one of its own methods.
        unsafe host_thread_set_machine(Unmanaged.passUnretained(self).toOpaque())
        host_thread_set_cpu(cpu)
        host_thread_set_interrupt_depth(0)
        defer {
            precondition(host_thread_get_interrupt_depth() == 0, "interrupts were left disabled")
            host_thread_set_interrupt_depth(outerDepth)
            unsafe host_thread_set_machine(outerMachine)
            host_thread_set_cpu(outerCPU)
        }
        return try body()
    }

    /// The machine that this thread is a CPU of.
    public static var current: SimulatedMachine {
        guard let machine = ofThisThread else {
            fatalError("no simulated machine on this thread: call SimulatedMachine.run")
        }
        return machine
    }

    /// As `current`; nil outside `run`.
    static var ofThisThread: SimulatedMachine? {
        // `run` keeps the machine alive until it takes the pointer back.
        unsafe host_thread_get_machine().map { unsafe Unmanaged<SimulatedMachine>.fromOpaque($0).takeUnretainedValue() }
    }

    /// The return addresses that code finds which asks for its callers, on any CPU.
    public var trace: [UInt] {
        get { callers.withLock { $0 } }
        set { callers.withLock { $0 = newValue } }
    }

    func record(_ violation: MemoryViolation) {
        switch violationPolicy {
        case .record:
            recorded.withLock { $0.append(violation) }
            violationHandler?(violation)
        case .trap: fatalError("\(violation)")
        }
    }

    func record(_ failure: FailedAllocation) { recordedFailures.withLock { $0.append(failure) } }

    func record(_ traced: TracedObject) { recordedTraces.withLock { $0.append(traced) } }

    /// The calls on caches that are traced since the last call, in order.
    public func takeTracedObjects() -> [TracedObject] {
        recordedTraces.withLock { traces in
            defer { traces = [] }
            return traces
        }
    }

    /// The requests for page frames that failed since the last call, in order.
    public func takeFailedAllocations() -> [FailedAllocation] {
        recordedFailures.withLock { failures in
            defer { failures = [] }
            return failures
        }
    }

    func record(_ stale: StaleTranslation) {
        switch violationPolicy {
        case .record: recordedStale.withLock { $0.append(stale) }
        case .trap: fatalError("\(stale)")
        }
    }

    /// The uses of stale translations since the last call, in order.
    public func takeStaleTranslations() -> [StaleTranslation] {
        recordedStale.withLock { found in
            defer { found = [] }
            return found
        }
    }

    /// What has been reported since the last call, in order.
    public func takeViolations() -> [MemoryViolation] {
        recorded.withLock { violations in
            defer { violations = [] }
            return violations
        }
    }
}
