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

    /// The blocks that are handed out are the model: contents stay, counts agree.
    private struct Run {
        let kmalloc: KmallocHandle
        var generator: SeededGenerator
        var blocks: [Block] = []

        mutating func size() -> UInt {
            switch UInt.random(in: 0..<10, using: &generator) {
            case 0: .random(in: 8193...60000, using: &generator)
            case 1...2: .random(in: 1...8192, using: &generator)
            default: .random(in: 1...300, using: &generator)
            }
        }

        mutating func step(grows: Bool) {
            switch UInt.random(in: 0..<20, using: &generator) {
            case 0: kmalloc.shrink()
            case 1...3 where !blocks.isEmpty: reallocate()
            case _ where grows || blocks.isEmpty: allocate()
            default: free(blocks.remove(at: .random(in: 0..<blocks.count, using: &generator)))
            }
        }

        mutating func allocate() {
            let size = size()
            let zero = Bool.random(using: &generator)
            guard let pointer = kmalloc.allocate(size, flags: zero ? [.kernel, .zero] : .kernel) else { return }
            if zero { #expect(pointer.isZero(size)) }
            let block = Block(pointer: pointer, byteCount: size, seed: generator.next())
            pointer.fill(size, seed: block.seed)
            blocks.append(block)
        }

        /// The contents stay, in the new place or, where there is none, in the old one.
        mutating func reallocate() {
            let chosen = Int.random(in: 0..<blocks.count, using: &generator)
            let old = blocks[chosen]
            let size = size()
            let result = kmalloc.reallocate(old.pointer, size)
            let kept = result ?? old.pointer
            let checked = result == nil ? old.byteCount : min(old.byteCount, size)
            #expect(kept.isFilled(old.byteCount, seed: old.seed, checked: checked))
            guard let result else { return }
            let block = Block(pointer: result, byteCount: size, seed: generator.next())
            result.fill(size, seed: block.seed)
            blocks[chosen] = block
        }

        func free(_ block: Block) {
            #expect(block.pointer.isFilled(block.byteCount, seed: block.seed, checked: block.byteCount))
            kmalloc.free(block.pointer)
        }

        func check() throws {
            try kmalloc.checkInvariants()
            let active = kmalloc.statistics.reduce(kmalloc.largeBlockCount) {
                $0 + $1.activeObjects
            }
            #expect(active == blocks.count)
        }
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func sequencesAgreeWithTheModel(round: UInt64) throws {
        let options = TestMachine.combinations[Int(round) - 1]
        let test = TestMachine(memory: 8 << 20, cpuCount: 2, options: options)
        var run = Run(
            kmalloc: test.kmalloc, generator: SeededGenerator.fromEnvironment(default: 0x51ab_0000 + round))
        let before = test.run { test.freeFrames }
        for step in 0..<1500 {
            try test.run(onCPU: .random(in: 0..<2, using: &run.generator)) {
                // Waves, so that memory fills up and empties again.
                run.step(grows: UInt.random(in: 0..<100, using: &run.generator) < (step / 250 % 2 == 0 ? 75 : 25))
                try run.check()
            }
        }
        try test.run {
            for block in run.blocks { run.free(block) }
            run.kmalloc.shrink()
            #expect(test.freeFrames == before)
            try run.kmalloc.checkInvariants()
            try test.frames.checkInvariants()
            #expect(test.violations().isEmpty)
        }
    }
}
