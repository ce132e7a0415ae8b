import SimulatedMachine
import Testing

@testable import DeviceMemory

/// The slots of a pool, against an array of which are taken.
@Suite struct SlotMapTests {
    /// The largest aligned block of free slots, as the array says.
    private func largestBlock(_ taken: [Bool]) -> Int {
        for order in (0...7).reversed() {
            for start in stride(from: 0, to: taken.count, by: 1 << order)
            where !taken[start..<start + 1 << order].contains(true) { return 1 << order }
        }
        return 0
    }

    @Test(arguments: [128, 256, 2048, 128 * 70]) func randomRuns(slotCount: Int) throws {
        var generator = SeededGenerator.fromEnvironment(default: 0x51_07)
        let seed = generator.seed
        let byteCount = Int(SlotMap.byteCount(slotCount: UInt(slotCount)))
        let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount + 16, alignment: 8)
        memory.initializeMemory(as: UInt8.self, repeating: 0xee, count: byteCount + 16)
        defer { memory.deallocate() }
        var map = SlotMap(slotCount: UInt(slotCount), in: memory)
        var taken = [Bool](repeating: false, count: slotCount)
        var runs: [(start: UInt, count: UInt)] = []
        for step in 0..<4000 {
            if Int.random(in: 0..<5, using: &generator) < (step / 500 % 2 == 0 ? 3 : 2) {
                let count = UInt.random(in: 1...(Bool.random(using: &generator) ? 128 : 6), using: &generator)
                var size = 1
                while size < count { size *= 2 }
                if let start = map.take(count) {
                    let range = Int(start)..<Int(start + count)
                    #expect(!taken[range].contains(true), "step \(step), seed \(seed)")
                    #expect(start / 128 == (start + count - 1) / 128, "in one block")
                    #expect(Int(start) % size == 0)
                    for slot in range { taken[slot] = true }
                    runs.append((start, count))
                } else {
                    #expect(largestBlock(taken) < size, "step \(step), seed \(seed)")
                }
            } else if !runs.isEmpty {
                let run = runs.remove(at: Int.random(in: 0..<runs.count, using: &generator))
                map.give(run.start, run.count)
                for slot in run.start..<run.start + run.count { taken[Int(slot)] = false }
            }
            #expect(map.freeCount == UInt(taken.count { !$0 }))
            if step % 50 == 0 { try map.checkInvariants() }
        }
        for run in runs { map.give(run.start, run.count) }
        try map.checkInvariants()
        // All of it is whole blocks again.
        for _ in 0..<slotCount / 128 { #expect(map.take(128) != nil) }
        #expect(map.take(1) == nil && map.freeCount == 0)
        #expect((byteCount..<byteCount + 16).allSatisfy { memory.load(fromByteOffset: $0, as: UInt8.self) == 0xee })
    }
}
