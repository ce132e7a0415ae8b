import MemoryPrimitives
import PageFrames
import SimulatedMachine
import TestSupport
import Testing

@Suite struct ExactTests {
    @Test(arguments: [1, 4095, 4096, 4097, 3 * 4096, 20_000, 1 << 20, (1 << 20) + 1, 4 << 20] as [UInt])
    func noMoreFramesAreTakenThanNeeded(byteCount: UInt) throws {
        let machine = try Machine(mebibytes: 32)
        try machine.run {
            let before = machine.snapshot()
            let free = machine.frames.value.freeFrames
            let count = (byteCount + 4095) / 4096
            let first = try need(machine.frames.value.allocateExact(byteCount: byteCount))
            #expect(machine.frames.value.freeFrames == free - count)
            for index in 0..<count {
                #expect(machine.frames.value.referenceCount(of: first + index) == 1)
                #expect(try need(machine.frames.value.block(covering: first + index)).order == 0)
            }
            try machine.frames.value.checkInvariants()
            machine.frames.value.freeExact(first, byteCount: byteCount)
            #expect(machine.snapshot() == before)
            try machine.frames.value.checkInvariants()
        }
        #expect(machine.takeKinds().isEmpty)
    }

    @Test(arguments: [0, (4 << 20) + 1, 1 << 40, .max] as [UInt]) func sizesThatDoNotExistAreRefused(byteCount: UInt)
        throws
    {
        let machine = try Machine(mebibytes: 32)
        machine.run {
            let before = machine.snapshot()
            #expect(machine.frames.value.allocateExact(byteCount: byteCount) == nil)
            #expect(machine.frames.value.alloc_pages_exact(byteCount, .kernel) == nil)
            #expect(machine.snapshot() == before)
        }
        #expect(machine.takeKinds().isEmpty)
    }

    @Test func failureChangesNothing() throws {
        let machine = try Machine(mebibytes: 16)
        try machine.run {
            var blocks: [PageFrameNumber] = []
            while let block = machine.frames.value.allocate(order: 3, flags: .kernel | .noWarn) { blocks.append(block) }
            machine.frames.value.free(try need(blocks.popLast()), order: 3)
            let before = machine.snapshot()
            // 9 frames need a block of 16, which there is none of.
            #expect(machine.frames.value.allocateExact(byteCount: 9 * 4096, flags: .kernel | .noWarn) == nil)
            #expect(machine.snapshot() == before)
            let first = try need(machine.frames.value.allocateExact(byteCount: 8 * 4096))
            machine.frames.value.freeExact(first, byteCount: 8 * 4096)
            #expect(machine.snapshot() == before)
        }
    }

    @Test func onlyWhatIsKeptIsCleared() throws {
        let machine = try Machine(mebibytes: 16)
        try machine.run {
            let dirty = try need(machine.frames.value.allocate(order: 10))
            machine.pointer(dirty).initializeMemory(as: UInt8.self, repeating: 0xa5, count: 4 << 20)
            // The block from which exact memory is cut is this one.
            machine.frames.value.split(dirty, order: 10)
            machine.frames.value.freeExact(dirty, byteCount: 4 << 20)
            let first = try need(machine.frames.value.allocateExact(byteCount: 600 * 4096, flags: .kernel | .zero))
            try #require(first == dirty)
            let bytes = UnsafeRawBufferPointer(start: machine.pointer(first), count: 4 << 20)
            #expect(bytes[..<(600 * 4096)].allSatisfy { $0 == 0 })
            #expect(bytes[(600 * 4096)...].allSatisfy { $0 == 0xa5 })
        }
    }

    @Test func wrongFreesChangeNothing() throws {
        let machine = try Machine(mebibytes: 16)
        try machine.run {
            let first = try need(machine.frames.value.allocateExact(byteCount: 5 * 4096))
            let before = machine.counts()
            // One page more than there are: the next one is free.
            machine.frames.value.freeExact(first, byteCount: 6 * 4096)
            #expect(machine.takeKinds() == [.doubleFree])
            machine.frames.value.freeExact(first, byteCount: .max)
            machine.frames.value.freeExact(PageFrameNumber(.max), byteCount: 8192)
            #expect(machine.takeKinds().count == 2)
            machine.frames.value.freeExact(first, byteCount: 0)
            #expect(machine.counts() == before)
            machine.frames.value.free_pages_exact(machine.pointer(first) + 1, 5 * 4096)
            #expect(machine.takeKinds() == [.misalignedFree])
            machine.frames.value.free_pages_exact(nil, 5 * 4096)
            machine.frames.value.free_pages_exact(machine.pointer(first), 5 * 4096)
            #expect(machine.takeKinds().isEmpty)
            machine.frames.value.freeExact(first, byteCount: 5 * 4096)
            #expect(machine.takeKinds() == [.doubleFree])
        }
    }

    @Test func aFrameWithAnotherReferenceOutlivesTheFree() throws {
        let machine = try Machine(mebibytes: 16)
        try machine.run {
            let before = machine.snapshot()
            let free = machine.frames.value.freeFrames
            let first = try need(machine.frames.value.allocateExact(byteCount: 5 * 4096))
            machine.frames.value.getPage(first + 2)
            machine.frames.value.freeExact(first, byteCount: 5 * 4096)
            #expect(machine.frames.value.freeFrames == free - 1)
            machine.frames.value.putPage(first + 2)
            #expect(machine.snapshot() == before)
        }
        #expect(machine.takeKinds().isEmpty)
    }

    @Test(arguments: 0...10) func aSplitBlockIsSingleFrames(order: Int) throws {
        let machine = try Machine(mebibytes: 16)
        try machine.run {
            let before = machine.snapshot()
            let block = try need(machine.frames.value.allocate(order: order))
            machine.frames.value.getPage(block)
            #expect(machine.frames.value.split(block, order: order) == true)
            #expect(machine.frames.value.referenceCount(of: block) == 2)
            try machine.frames.value.checkInvariants()
            machine.frames.value.putPage(block)
            var generator = SeededGenerator.fromEnvironment(default: 0x5eed_0301)
            for index in (0..<UInt(1) << UInt(order)).shuffled(using: &generator) {
                machine.frames.value.free(block + index, order: 0)
            }
            #expect(machine.snapshot() == before)
        }
        #expect(machine.takeKinds().isEmpty)
    }

    @Test func onlyWholeBlocksAreSplit() throws {
        let machine = try Machine(mebibytes: 16)
        try machine.run {
            let block = try need(machine.frames.value.allocate(order: 3))
            for (frame, order) in [
                (block, 2), (block, 4), (block, -1), (block, 11), (block + 4, 2), (PageFrameNumber(.max), 0),
                (PageFrameNumber(0), 3),
            ] {
                #expect(machine.frames.value.split(frame, order: order) == false)
                #expect(machine.takeKinds().count == 1)
            }
            machine.frames.value.free(block, order: 3)
            #expect(machine.frames.value.split(block, order: 3) == false)
            #expect(machine.takeKinds() == [.doubleFree])
        }
    }

    /// Another CPU's reference to the first frame counts, even one that comes while the block is being cut up.
    @Test func aSpeculativeReferenceIsNotLost() throws {
        let machine = try Machine(mebibytes: 16, cpuCount: 2)
        let probe = try machine.run {
            let first = try need(machine.frames.value.allocateExact(byteCount: 3 * 4096))
            machine.frames.value.freeExact(first, byteCount: 3 * 4096)
            return first
        }
        let done = Counter()
        inParallel(2) { cpu in
            machine.run(onCPU: cpu) {
                if cpu == 1 {
                    while done.value == 0 {
                        if machine.frames.value.tryGetPage(probe) { machine.frames.value.putPage(probe) }
                    }
                    return
                }
                for _ in 0..<100_000 {
                    if let first = machine.frames.value.allocateExact(byteCount: 3 * 4096) {
                        machine.frames.value.freeExact(first, byteCount: 3 * 4096)
                    }
                }
                done.add()
            }
        }
        #expect(machine.takeKinds().isEmpty)
    }
}
