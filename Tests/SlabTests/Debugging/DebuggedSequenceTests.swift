import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

/// Random sequences with debugging on: no check finds anything while nobody misbehaves, and each damage is found once.
@Suite struct DebuggedSequenceTests {
    private static let choices: [SlabOptions] = [
        SlabOptions(slubDebug: "FZPU"),
        SlabOptions(slubDebug: "Z"),
        SlabOptions(slubDebug: "P") { $0.quarantineByteCount = 1 << 16 },
        SlabOptions(slubDebug: "FZPUT,kmalloc-*") { $0.quarantineByteCount = 1 << 20 },
        SlabOptions(slubDebug: nil) {
            $0.zeroOnAllocation = true
            $0.zeroOnFree = true
            $0.quarantineByteCount = 4096
        },
    ]

    private struct Block {
        var pointer: UnsafeMutableRawPointer
        var size: UInt
        var seed: UInt64
    }

    @Test(arguments: 0..<5)
    func nothingIsFoundWhereNothingIsWrong(choice: Int) throws {
        let test = TestMachine(memory: 16 << 20, cpuCount: 2, slabOptions: Self.choices[choice])
        var generator = SeededGenerator.fromEnvironment(default: 0xdeb9_0000 + UInt64(choice))
        let before = test.run { test.freeFrames }
        var blocks: [Block] = []
        for step in 0..<600 {
            try test.run(onCPU: .random(in: 0..<2, using: &generator)) {
                let grows = UInt.random(in: 0..<100, using: &generator) < (step / 100 % 2 == 0 ? 75 : 30)
                let size = UInt.random(in: 1...(Bool.random(using: &generator) ? 300 : 9000), using: &generator)
                let flags: AllocationFlags = Bool.random(using: &generator) ? [.kernel, .zero] : .kernel
                if blocks.isEmpty || grows {
                    guard let pointer = test.kmalloc.allocate(size, flags: flags) else { return }
                    if flags.contains(.zero) { #expect(pointer.isZero(size)) }
                    blocks.append(Block(pointer: pointer, size: size, seed: generator.next()))
                } else {
                    let index = Int.random(in: 0..<blocks.count, using: &generator)
                    let block = blocks[index]
                    #expect(block.pointer.isFilled(block.size, seed: block.seed, checked: block.size))
                    if Bool.random(using: &generator), let moved = test.kmalloc.reallocate(block.pointer, size) {
                        let kept = min(size, block.size)
                        #expect(moved.isFilled(block.size, seed: block.seed, checked: kept))
                        blocks[index] = Block(pointer: moved, size: size, seed: generator.next())
                        moved.fill(size, seed: blocks[index].seed)
                    } else {
                        test.kmalloc.free(block.pointer)
                        blocks.remove(at: index)
                    }
                }
                if let last = blocks.last { last.pointer.fill(last.size, seed: last.seed) }
                if step % 97 == 0 { test.kmalloc.shrink() }
                #expect(test.kmalloc.validate() == 0)
                if step % 10 == 0 { try test.kmalloc.checkInvariants() }
            }
        }
        try test.run {
            for block in blocks { test.kmalloc.free(block.pointer) }
            test.kmalloc.shrink()
            #expect(test.freeFrames == before)
            #expect(test.kmalloc.quarantineFigures.objects == 0)
            try test.kmalloc.checkInvariants()
            try test.frames.checkInvariants()
            #expect(test.violations().isEmpty && test.kmalloc.errorCount == 0)
        }
    }

    /// Each byte around an object that nobody may write, one at a time.
    @Test(arguments: [8, 24, 64, 100, 192, 700] as [UInt])
    func eachByteOutsideIsWatched(size: UInt) throws {
        let test = TestMachine(slabOptions: SlabOptions(slubDebug: "FZPU"))
        try test.run {
            let object = try #require(test.kmalloc.allocate(size))
            let slab = try #require(test.kmalloc.slab(of: object.address))
            let parts = slab.cache(on: SimulatedPlatform.self).value.parts
            let metadata = Int(parts.tracksOffset)..<Int(parts.paddingOffset)
            for offset in -Int(parts.objectOffset)..<Int(parts.paddingEnd) {
                if metadata.contains(offset) || 0..<Int(size) ~= offset { continue }
                let old = object[offset]
                object[offset] ^= 0x41
                #expect(test.kmalloc.validate() == 1, "offset \(offset)")
                #expect(object[offset] == old)
                let found = test.violations()
                #expect(found.map(\.address) == [UInt(bitPattern: Int(object.address) + offset)])
                #expect(found.first?.expectedByte == old && found.first?.byteCount == 1)
            }
            test.kmalloc.free(object)
            for offset in 0..<Int(parts.objectSize) {
                object[offset] ^= 0x41
                #expect(test.kmalloc.validate() == 1, "offset \(offset)")
                #expect(test.violations().map(\.kind) == [.writeAfterFree])
            }
            #expect(test.kmalloc.validate() == 0)
        }
    }

    /// Found when the object is freed or handed out again, too, and without a walk.
    @Test func callsFindDamage() throws {
        let test = TestMachine(slabOptions: SlabOptions(slubDebug: "ZP") { $0.randomOrder = false })
        try test.run {
            let object = try #require(test.kmalloc.allocate(60))
            object[60] = 1
            object[-3] = 2
            test.kmalloc.free(object)
            let found = test.violations()
            #expect(found.map(\.detail.description) == ["Left Redzone", "kmalloc Redzone"])
            #expect(found.allSatisfy { $0.call.description == "kfree" })
            object[7] = 3
            object[63] = 4
            #expect(test.kmalloc.allocate(64) == object)
            #expect(test.violations().map(\.detail.description) == ["Poison", "End Poison"])
            #expect(test.kmalloc.validate() == 0)
            // Double frees are found, as ever.
            test.kmalloc.free(object)
            test.kmalloc.free(object)
            #expect(test.violations().map(\.kind) == [.doubleFree])
        }
    }

    @Test func tracedCallsAreTold() throws {
        let test = TestMachine(slabOptions: SlabOptions(slubDebug: "T,kmalloc-32"))
        try test.run {
            let object = try #require(test.kmalloc.allocate(32))
            test.kmalloc.free(test.kmalloc.allocate(64))
            object.fill(32, seed: 3)
            test.kmalloc.free(object)
            let calls = test.machine.takeTracedObjects()
            #expect(calls.map(\.isAllocation) == [true, false] && calls.allSatisfy { $0.object == object.address })
            let address = String(object.address, radix: 16)
            let digits = String(repeating: "0", count: 16 - address.count) + address
            #expect(test.kmalloc.report(calls[0]) == ["TRACE kmalloc-32 alloc 0x\(digits) inuse=1"])
            let lines = test.kmalloc.report(calls[1])
            #expect(lines.count == 3 && lines[0] == "TRACE kmalloc-32 free 0x\(digits) inuse=1")
            #expect(lines[1].hasPrefix("Object   \(digits): "))
        }
    }
}
