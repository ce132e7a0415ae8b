import MemoryPrimitives
import Synchronization

/// How many calls that are traced a CPU is within.
final class TraceDepth: Sendable {
    private let depth = Atomic<UInt>(0)

    var value: UInt { depth.load(ordering: .relaxed) }

    func enter() -> UInt { depth.add(1, ordering: .relaxed).oldValue }

    func leave(_ outer: UInt) { depth.store(outer, ordering: .relaxed) }
}

extension SimulatedMachine {
    /// Which events `traceHandler` is called with. Those of objects and frames are told of only while the short ways are
    /// closed as well: see `KernelMemory.setTracing`.
    public var tracedEvents: TraceSelection {
        get { TraceSelection(rawValue: traced.load(ordering: .relaxed)) }
        set { traced.store(newValue.rawValue, ordering: .relaxed) }
    }

    func trace(_ event: TraceEvent) {
        guard let traceHandler, tracedEvents.contains(event.kind) else { return }
        let cpu = SimulatedPlatform.currentCPU
        var event = event
        event.time = SimulatedPlatform.cycleCounter
        event.cpu = UInt16(cpu)
        event.depth = UInt8(clamping: traceDepths[cpu].value)
        event.isAtomic = !SimulatedPlatform.interruptsEnabled
        if event.caller == 0 { event.caller = trace.first ?? 0 }
        traceHandler(event)
    }
}
