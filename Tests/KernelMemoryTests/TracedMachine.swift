import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Slab
import TestSupport

@testable import KernelMemory

/// A machine whose events are gathered.
final class TracedMachine: @unchecked Sendable {
    let machine: KernelMachine
    let events = HostLock<[TraceEvent]>([])
    var memory: Permanent<TestedMemory> { machine.memory }

    init(cpuCount: Int = 1, slab: SlabOptions = SlabOptions(), frames: PageFrameOptions = PageFrameOptions()) throws {
        machine = try KernelMachine(
            .pc(bytes: 64 << 20), Configuration(cpuCount: cpuCount, frames: frames, slab: slab, purgeThreshold: nil))
        let events = events
        machine.machine.traceHandler = { event in events.withLock { $0.append(event) } }
    }

    func turnOn(_ selection: TraceSelection = .all) {
        machine.machine.tracedEvents = selection
        memory.value.setTracing(selection)
    }

    func turnOff() {
        memory.value.setTracing(.none)
        machine.machine.tracedEvents = .none
    }

    func take() -> [TraceEvent] {
        events.withLock { events in
            defer { events = [] }
            return events
        }
    }
}

extension Array {
    mutating func swapRemove(_ generator: inout SeededGenerator) -> Element {
        swapAt(Int(generator.next() % UInt64(count)), count - 1)
        return removeLast()
    }
}
