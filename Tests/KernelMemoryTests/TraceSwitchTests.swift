import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Slab
import TestSupport
import Testing

@testable import KernelMemory

@Suite struct TraceSwitchTests {
    /// Others allocate and free while tracing is turned on and off all the time: nothing is lost, counted twice or left over.
    @Test func switchedUnderLoad() throws {
        let traced = try TracedMachine(cpuCount: 3)
        let before = traced.machine.run {
            _ = traced.memory.value.kmalloc.value.scan(.max, for: .kernel)
            traced.memory.value.frames.value.drainFrameCaches()
            return traced.memory.value.frames.value.freeFrames
        }
        inParallel(3) { cpu in
            traced.machine.run(onCPU: cpu) {
                if cpu == 0 {
                    for _ in 0..<60 {
                        traced.turnOn()
                        traced.turnOff()
                        _ = traced.take()
                    }
                    return
                }
                var generator = SeededGenerator(seed: UInt64(cpu))
                var kept: [UnsafeMutableRawPointer] = []
                for _ in 0..<6000 {
                    if kept.count < 300, generator.next() & 1 == 0 {
                        kept.append(traced.memory.value.kmalloc.value.allocate(UInt(8 + generator.next() % 1000))!)
                    } else if !kept.isEmpty {
                        traced.memory.value.kmalloc.value.free(kept.swapRemove(&generator))
                    }
                    if let frame = traced.memory.value.frames.value.allocate(order: 0) {
                        traced.memory.value.frames.value.free(frame, order: 0)
                    }
                }
                for object in kept { traced.memory.value.kmalloc.value.free(object) }
            }
        }
        try traced.machine.check()
        traced.machine.run {
            _ = traced.memory.value.kmalloc.value.scan(.max, for: .kernel)
            traced.memory.value.frames.value.drainFrameCaches()
            let after = traced.memory.value.frames.value.freeFrames
            #expect(after == before)
        }
    }
}
