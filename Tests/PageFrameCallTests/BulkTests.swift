import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import PageFrames

@Suite struct BulkTests {
    private func take(_ count: Int, from machine: Machine, flags: AllocationFlags = .kernel) -> [PageFrameNumber] {
        [PageFrameNumber](unsafeUninitializedCapacity: count) { buffer, initialized in
            buffer.initialize(repeating: PageFrameNumber(0))
            initialized = machine.frames.value.alloc_pages_bulk(flags, count, buffer.baseAddress!)
        }
    }

    @Test(arguments: [1, 2, 15, 16, 17, 100, 1000], [false, true]) func fillsTheBuffer(count: Int, caches: Bool) throws
    {
        let machine = try Machine(mebibytes: 32)
        try machine.run {
            machine.frames.value.setFrameCaches(enabled: caches)
            let before = machine.snapshot()
            let free = machine.frames.value.freeFrames
            let warm = try need(machine.frames.value.allocate(order: 0))
            machine.frames.value.free(warm, order: 0)
            let frames = take(count, from: machine)
            #expect(Set(frames).count == count)
            #expect(machine.frames.value.freeFrames == free - UInt(count))
            #expect(frames.allSatisfy { machine.frames.value.referenceCount(of: $0) == 1 })
            try machine.frames.value.checkInvariants()
            for frame in frames { machine.frames.value.__free_page(frame) }
            #expect(machine.snapshot() == before)
        }
        #expect(machine.takeKinds().isEmpty)
    }

    @Test func whatThereIsNotIsMissing() throws {
        let machine = try Machine(memory: [2048..<5120, 1 << 20..<(1 << 20) + 2048])
        machine.run {
            let before = machine.counts()
            let free = Int(machine.frames.value.freeFrames)
            let frames = take(free + 10, from: machine)
            // All zones, to the last frame; and a request that got something has not failed.
            #expect(Set(frames).count == free)
            #expect(machine.simulated.takeFailedAllocations().isEmpty)
            #expect(machine.frames.value.freeFrames == 0)
            #expect(take(3, from: machine).isEmpty)
            #expect(machine.simulated.takeFailedAllocations().count == 1)
            for frame in frames { machine.frames.value.free(frame, order: 0) }
            #expect(machine.counts() == before)
        }
    }

    /// What the zones hand out past the frame caches is counted by them, in bulk or not.
    @Test(arguments: [false, true]) func whatZonesHandOutIsCounted(caches: Bool) throws {
        let machine = try Machine(memory: [2048..<12288])
        try machine.run {
            let frames = machine.frames
            frames.value.setFrameCaches(enabled: caches)
            func counted() -> UInt {
                frames.value.statistics(of: .dma).allocations + frames.value.statistics(of: .dma32).allocations
            }
            func cached() -> UInt { frames.value.cachedFrames(inZone: ZoneKind.dma32.rawValue) }
            // The first brings a section into use, the second fills the cache.
            let warm = try (0..<2).map { _ in try need(frames.value.allocate(order: 0)) }
            let (countedBefore, cachedBefore) = (counted(), cached())
            #expect((cachedBefore > 0) == caches)
            let taken = take(1500, from: machine)
            #expect(taken.count == 1500)
            // The caches' part came from them, and they were not filled again.
            #expect(cached() == 0)
            #expect(counted() - countedBefore == 1500 - cachedBefore)
            for frame in taken + warm { frames.value.free(frame, order: 0) }
        }
    }

    @Test func promisedFramesAndOtherZonesAreLeftAlone() throws {
        let machine = try Machine(memory: [2048..<5120, 1 << 20..<(1 << 20) + 2048])
        machine.run {
            #expect(machine.frames.value.promise(frames: 700) == true)
            let dma = take(100_000, from: machine, flags: .kernel | .dma)
            #expect(dma.allSatisfy { $0.rawValue < 4096 } && !dma.isEmpty)
            let rest = take(100_000, from: machine)
            #expect(machine.frames.value.freeFrames == 700)
            for frame in dma + rest { machine.frames.value.free(frame, order: 0) }
            machine.frames.value.withdrawPromise(frames: 700)
        }
        #expect(machine.takeKinds().isEmpty)
    }

    @Test func nothingIsWrittenBehindTheBufferAndZeroIsObeyed() throws {
        let machine = try Machine(mebibytes: 16)
        try machine.run {
            let block = try need(machine.frames.value.allocate(order: 10))
            machine.pointer(block).initializeMemory(as: UInt8.self, repeating: 0xa5, count: 4 << 20)
            machine.frames.value.free(block, order: 10)
            let buffer = UnsafeMutablePointer<PageFrameNumber>.allocate(capacity: 101)
            defer { buffer.deallocate() }
            buffer.initialize(repeating: PageFrameNumber(77), count: 101)
            #expect(machine.frames.value.alloc_pages_bulk(.kernel | .zero, 100, buffer) == 100)
            #expect(buffer[100] == PageFrameNumber(77))
            for index in 0..<100 {
                let bytes = UnsafeRawBufferPointer(start: machine.pointer(buffer[index]), count: 4096)
                #expect(bytes.allSatisfy { $0 == 0 })
            }
            #expect(machine.frames.value.alloc_pages_bulk(.kernel, 0, buffer) == 0)
            #expect(machine.frames.value.alloc_pages_bulk(.kernel, -5, buffer) == 0)
        }
    }

    @Test func bulkMayNotWaitInAnInterrupt() throws {
        let machine = try Machine(mebibytes: 16)
        machine.run {
            let state = SimulatedPlatform.disableInterrupts()
            let frames = take(5, from: machine)
            SimulatedPlatform.restoreInterrupts(state)
            #expect(frames.count == 5)
            #expect(Set(machine.takeKinds()) == [.waitInAtomicContext])
            #expect(take(5, from: machine, flags: .atomic).count == 5)
            #expect(machine.takeKinds().isEmpty)
        }
    }

    @Test func coldFramesAreHandedOutLast() throws {
        let machine = try Machine(mebibytes: 64)
        try machine.run {
            let before = machine.snapshot()
            let frames = take(8, from: machine)
            machine.frames.value.free(frames[0], order: 0)
            machine.frames.value.free(frames[1], order: 0, isCold: true)
            machine.frames.value.free(frames[2], order: 0)
            #expect(machine.frames.value.allocate(order: 0) == frames[2])
            #expect(machine.frames.value.allocate(order: 0) == frames[0])
            machine.frames.value.free(frames[1], order: 0, isCold: true)
            #expect(machine.takeKinds() == [.doubleFree])
            let large = try need(machine.frames.value.allocate(order: 7))
            machine.frames.value.free(large, order: 7, isCold: true)
            machine.frames.value.getPage(frames[3])
            machine.frames.value.free(frames[3], order: 0, isCold: true)
            for index in [0, 2, 3, 4, 5, 6, 7] { machine.frames.value.free(frames[index], order: 0, isCold: true) }
            #expect(machine.takeKinds().isEmpty)
            #expect(machine.snapshot() == before)
        }
    }

    /// Something has written to the descriptor of a free frame: whoever it says has the frame keeps it.
    @Test(arguments: [false, true]) func aFrameThatSeemsToBeInUseIsNotHandedOut(caches: Bool) throws {
        let machine = try Machine(mebibytes: 16)
        try machine.run {
            machine.frames.value.setFrameCaches(enabled: caches)
            let damaged = try need(machine.frames.value.allocate(order: 0))
            let descriptor = UnsafeMutableRawPointer(try need(machine.frames.value.descriptor(of: damaged)))
            machine.frames.value.free(damaged, order: 0)
            descriptor.storeBytes(of: FrameState.allocatedHead.rawValue, toByteOffset: 9, as: UInt8.self)
            let frames = take(50, from: machine)
            #expect(frames.count == 50 && !frames.contains(damaged))
            #expect(Set(frames).count == 50)
            #expect(machine.takeKinds() == [.corruption])
        }
    }
}
