import MemoryPrimitives
import PageFrames
import SimulatedMachine
import TestSupport
import Testing

@testable import DeviceMemory

/// Several CPUs at once: for ThreadSanitizer, too.
@Suite struct ConcurrencyTests {
    @Test(arguments: [false, true]) func everyCPUHasItsOwn(isDebugging: Bool) throws {
        let machine = DMAMachine(DMAOptions(slotCount: 256, isDebugging: isDebugging), cpuCount: 4)
        let failures = Counter()
        let blocks = (0..<4).compactMap { _ in machine.block(4) }
        let generators = (0..<4).map { SeededGenerator(seed: UInt64($0 + 1)) }
        machine.machine.onAllCPUs { cpu in
            var generator = generators[cpu]
            // The first of them makes the pools.
            guard var device = try? machine.dma.value.makeDevice("device") else { return failures.add() }
            if cpu % 2 == 1 { _ = machine.dma.value.dma_set_mask(&device, .bits24) }
            let bytes = machine.bytes(blocks[cpu], 65536)
            for round in 0..<150 {
                let count = Int.random(in: 1...30_000, using: &generator)
                bytes[0..<count].update(repeating: UInt8(truncatingIfNeeded: round))
                let bus = machine.dma.value.dma_map_single(device, blocks[cpu], UInt(count), .bidirectional)
                if machine.dma.value.dma_mapping_error(device, bus) != 0 { continue }
                let seen = machine.deviceBytes(bus, count)
                if !seen.allSatisfy({ $0 == UInt8(truncatingIfNeeded: round) }) { failures.add() }
                seen.update(repeating: UInt8(cpu) ^ 0xff)
                machine.dma.value.dma_unmap_single(device, bus, UInt(count), .bidirectional)
                if !bytes[0..<count].allSatisfy({ $0 == UInt8(cpu) ^ 0xff }) { failures.add() }
            }
            if machine.dma.value.end(device) != 0 { failures.add() }
        }
        #expect(failures.value == 0)
        #expect(machine.usedSlots == 0)
        #expect(machine.takeKinds() == [])
        for block in blocks { machine.free(block, 4) }
        try machine.check()
    }

    /// A mapping that two CPUs end at once ends once.
    @Test func endedByTwo() throws {
        let machine = DMAMachine(cpuCount: 4)
        let device = try machine.device(32)
        let block = try #require(machine.block(0))
        for _ in 0..<50 {
            let bus = try machine.map(device, block, 3000)
            machine.machine.onAllCPUs { _ in machine.dma.value.unmap(device, bus, byteCount: 3000, .bidirectional) }
            #expect(machine.takeKinds() == [.badMapping, .badMapping, .badMapping])
            #expect(machine.usedSlots == 0)
        }
        machine.free(block, 0)
        try machine.check()
    }
}
