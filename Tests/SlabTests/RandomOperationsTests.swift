import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

@Suite struct RandomOperationsTests {
    private struct Block {
        var pointer: UnsafeMutableRawPointer
        var byteCount: UInt
        var seed: UInt64
    }

    private static func size(_ generator: inout SeededGenerator) -> UInt {
        switch UInt.random(in: 0..<10, using: &generator) {
        case 0: .random(in: 8193...60000, using: &generator)
        case 1...2: .random(in: 1...8192, using: &generator)
        default: .random(in: 1...300, using: &generator)
        }
    }

    /// A plain dictionary of what is handed out is the model: no two overlap, contents stay, counts agree.
    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func sequencesAgreeWithTheModel(round: UInt64) throws {
        var generator = SeededGenerator.fromEnvironment(default: 0x51ab_0000 + round)
        print("QUARRY_SEED=\(generator.seed)")
        let test = TestMachine(memory: 8 << 20, cpuCount: 2)
        let kmalloc = test.kmalloc
        let before = test.run { test.freeFrames }
        var blocks: [Block] = []
        var failures = 0
        for step in 0..<1500 {
            try test.run(onCPU: .random(in: 0..<2, using: &generator)) {
                // Waves, so that memory fills up and empties again.
                let grows = UInt.random(in: 0..<100, using: &generator) < (step / 250 % 2 == 0 ? 75 : 25)
                switch UInt.random(in: 0..<20, using: &generator) {
                case 0:
                    kmalloc.shrink()
                case 1...3 where !blocks.isEmpty:
                    let chosen = Int.random(in: 0..<blocks.count, using: &generator)
                    let old = blocks[chosen]
                    let size = Self.size(&generator)
                    let result = kmalloc.reallocate(old.pointer, size)
                    let kept = result ?? old.pointer
                    #expect(kept.isFilled(old.byteCount, seed: old.seed, checked: min(old.byteCount, size)))
                    guard let result else { break }
                    result.fill(size, seed: generator.next() & ~1)
                    blocks[chosen] = Block(pointer: result, byteCount: size, seed: old.seed)
                    result.fill(size, seed: old.seed)
                case _ where grows || blocks.isEmpty:
                    let size = Self.size(&generator)
                    let zero = Bool.random(using: &generator)
                    guard let pointer = kmalloc.allocate(size, flags: zero ? [.kernel, .zero] : .kernel) else {
                        failures += 1
                        break
                    }
                    if zero { #expect(pointer.isZero(size)) }
                    let block = Block(pointer: pointer, byteCount: size, seed: generator.next())
                    pointer.fill(size, seed: block.seed)
                    blocks.append(block)
                default:
                    let block = blocks.remove(at: .random(in: 0..<blocks.count, using: &generator))
                    #expect(block.pointer.isFilled(block.byteCount, seed: block.seed, checked: block.byteCount))
                    kmalloc.free(block.pointer)
                }
                try kmalloc.checkInvariants()
                let active = (0..<kmalloc.cacheCount - 1).reduce(kmalloc.largeBlockCount) {
                    $0 + kmalloc.statistics(ofCache: $1).activeObjects
                }
                #expect(active == blocks.count)
            }
        }
        try test.run {
            for block in blocks {
                #expect(block.pointer.isFilled(block.byteCount, seed: block.seed, checked: block.byteCount))
                kmalloc.free(block.pointer)
            }
            kmalloc.drainAll()
            #expect(test.freeFrames == before)
            try kmalloc.checkInvariants()
            try test.frames.checkInvariants()
            #expect(test.violations().isEmpty)
        }
    }
}
