import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@Suite struct ContiguousTests {
    static func range(_ first: UInt, _ count: UInt) -> Range<PageFrameNumber> {
        PageFrameNumber(first)..<PageFrameNumber(first + count)
    }

    @Test(
        arguments: [
            (2048, 1), (2047, 3), (2048, 512), (2048, 1024), (2500, 777), (2049, 1023), (3000, 5000), (2048, 25600),
            (4095, 2), (3584, 1025),
        ] as [(UInt, UInt)])
    func anyRangeOfFreeFramesCanBeHad(first: UInt, count: UInt) throws {
        let machine = try Machine(mebibytes: 160)
        try machine.run {
            let before = machine.snapshot()
            let free = machine.frames.value.freeFrames
            let range = Self.range(first, count)
            #expect(failure(machine, range) == nil)
            #expect(machine.frames.value.freeFrames == free - count)
            try machine.frames.value.checkInvariants()
            for frame in first..<first + count {
                let block = try need(machine.frames.value.block(covering: PageFrameNumber(frame)))
                #expect(block.head.rawValue == frame && block.order == 0 && block.state == .allocatedHead)
                #expect(machine.frames.value.referenceCount(of: PageFrameNumber(frame)) == 1)
            }
            #expect(failure(machine, range) == .busy(range.lowerBound))
            #expect(machine.frames.value.freeContiguous(range) == true)
            #expect(machine.snapshot() == before)
            try machine.frames.value.checkInvariants()
        }
        #expect(machine.takeKinds().isEmpty)
    }

    @Test func rangesOverZonesAndFromFewRuns() throws {
        // One run of deferred sections a zone is all that can be noted down: cutting one in two finds no room.
        let fourGiB: UInt = 1 << 20
        let machine = try Machine(
            memory: [256..<20480, fourGiB - 4096..<fourGiB + 8192], maximumRuns: 2)
        try machine.run {
            let before = machine.counts()
            for range in [
                Self.range(3000, 3000), Self.range(fourGiB - 1500, 3000), Self.range(8 * 1024, 1),
                Self.range(15000, 10),
            ] {
                #expect(failure(machine, range) == nil)
                try machine.frames.value.checkInvariants()
            }
            for range in [
                Self.range(3000, 3000), Self.range(fourGiB - 1500, 3000), Self.range(8 * 1024, 1),
                Self.range(15000, 10),
            ] {
                #expect(machine.frames.value.freeContiguous(range) == true)
            }
            #expect(machine.counts() == before)
            try machine.frames.value.checkInvariants()
        }
    }

    /// A run is cut in two in the place of one that is used up: nothing but the section itself is brought into use.
    @Test func aRunIsCutInTheRoomOfAnother() throws {
        let machine = try Machine(memory: [4096..<8192, 9216..<20480], maximumRuns: 2)
        try machine.run {
            for _ in 0..<4 { #expect(machine.frames.value.allocate(order: 10, flags: .dma32) != nil) }
            let deferred = machine.frames.value.statistics(of: .dma32).deferredFrames
            #expect(failure(machine, Self.range(12 * 1024 + 5, 10)) == nil)
            #expect(machine.frames.value.statistics(of: .dma32).deferredFrames == deferred - 1024)
            try machine.frames.value.checkInvariants()
            // The next one finds no room any more.
            #expect(failure(machine, Self.range(15 * 1024 + 5, 10)) == nil)
            try machine.frames.value.checkInvariants()
        }
    }

    /// What was moved out before a failure leaves whole sections behind.
    @Test func aFailureLeavesLargeBlocks() throws {
        let machine = try Machine(mebibytes: 64)
        let blocks = MovableBlocks(on: machine)
        try machine.run {
            _ = try need(machine.frames.value.movers.register(blocks.mover, name: "blocks"))
            while blocks.allocate(order: 0) {}
            let pinned = PageFrameNumber(7 * 1024 + 9)
            blocks.free { $0.frame.rawValue < 4096 || (6 * 1024..<6 * 1024 + 512).contains($0.frame.rawValue) }
            machine.frames.value.getPage(pinned)
            #expect(failure(machine, Self.range(6 * 1024 + 512, 1536)) == .busy(pinned))
            machine.frames.value.drainFrameCaches()
            #expect(machine.frames.value.statistics(of: .dma32).freeBlocks[10] == 1)
            try machine.frames.value.checkInvariants()
            machine.frames.value.putPage(pinned)
        }
    }

    @Test func whatCanNeverBeHadIsNamed() throws {
        let machine = try Machine(memory: [256..<8192, 8300..<16384], reserved: [4000..<4010])
        try machine.run {
            let slab = try need(machine.frames.value.allocate(order: 3))
            machine.frames.value.claim(slab, order: 3, as: .slab, owner: 9)
            let used = try need(machine.frames.value.allocate(order: 2))
            let before = machine.counts()
            let metadata = machine.frames.value.metadataByteCount / 4096
            for (range, error) in [
                (Self.range(3000, 0), .emptyRange),
                (Self.range(3990, 15), .reserved(PageFrameNumber(4000))),
                (Self.range(8100, 1000), .hole(PageFrameNumber(8192))),
                (Self.range(8250, 10), .hole(PageFrameNumber(8250))),
                (Self.range(100, 300), .hole(PageFrameNumber(100))),
                (Self.range(slab.rawValue + 2, 3), .busy(slab + 2)),
                (Self.range(used.rawValue, 100), .busy(used)),
                (Self.range(used.rawValue + 1, 1), .busy(used + 1)),
                (Self.range(16000, 1000), .outsideMemory(PageFrameNumber(16384))),
                (Self.range(1 << 40, 1), .outsideMemory(PageFrameNumber(1 << 40))),
                (PageFrameNumber(0)..<PageFrameNumber(.max), .outsideMemory(PageFrameNumber(16384))),
            ] as [(Range<PageFrameNumber>, ContiguousError)] {
                #expect(failure(machine, range) == error)
                #expect(machine.counts() == before)
                try machine.frames.value.checkInvariants()
            }
            _ = metadata
        }
        #expect(machine.takeKinds().isEmpty)
    }

    @Test func wrongFreesChangeNothing() throws {
        let machine = try Machine(mebibytes: 32)
        try machine.run {
            let range = Self.range(3000, 100)
            #expect(failure(machine, range) == nil)
            let before = machine.counts()
            #expect(machine.frames.value.freeContiguous(Self.range(2999, 101)) == false)
            #expect(machine.takeKinds() == [.doubleFree])
            #expect(machine.frames.value.freeContiguous(Self.range(3000, 101)) == false)
            #expect(machine.takeKinds() == [.doubleFree])
            #expect(machine.frames.value.releaseContiguousArea(range) == false)
            #expect(machine.takeKinds() == [.wildFree])
            #expect(machine.counts() == before)
            // A part, and then the rest; one frame is still referenced.
            machine.frames.value.getPage(PageFrameNumber(3050))
            machine.frames.value.free_contig_range(PageFrameNumber(3000), 60)
            machine.frames.value.free_contig_range(PageFrameNumber(3060), 40)
            #expect(machine.takeKinds().isEmpty)
            machine.frames.value.putPage(PageFrameNumber(3050))
            try machine.frames.value.checkInvariants()
        }
    }

    @Test func framesInTheCachesOfAllCPUsAreFound() throws {
        let machine = try Machine(mebibytes: 64, cpuCount: 4)
        let first = try machine.run { try need(machine.frames.value.allocate(order: 0)) }
        machine.run { machine.frames.value.free(first, order: 0) }
        for cpu in 0..<4 {
            machine.run(onCPU: cpu) {
                if let frame = machine.frames.value.allocate(order: 0) { machine.frames.value.free(frame, order: 0) }
            }
        }
        try machine.run {
            let section = first.rawValue & ~1023
            let range = Self.range(first.rawValue, section + 1024 - first.rawValue)
            #expect(failure(machine, range) == nil)
            try machine.frames.value.checkInvariants()
        }
    }

    @Test func anInterruptHandlerMovesNothing() throws {
        let machine = try Machine(mebibytes: 32)
        let blocks = MovableBlocks(on: machine)
        try machine.run {
            _ = try need(machine.frames.value.movers.register(blocks.mover, name: "blocks"))
            #expect(blocks.allocate(order: 0) == true)
            let frame = blocks.frames[0]
            let state = SimulatedPlatform.disableInterrupts()
            let found = failure(machine, frame..<frame + 1)
            SimulatedPlatform.restoreInterrupts(state)
            #expect(found == .busy(frame))
            #expect(machine.takeKinds() == [.waitInAtomicContext])
            #expect(failure(machine, frame..<frame + 1, .atomic) == .busy(frame))
            #expect(failure(machine, frame..<frame + 1) == nil)
            #expect(blocks.moves == 1 && blocks.areIntact)
        }
        #expect(machine.takeKinds().isEmpty)
    }

    // MARK: Promises

    @Test func promisesAreKept() throws {
        let machine = try Machine(mebibytes: 32)
        try machine.run {
            let all = machine.frames.value.promisableFrames
            #expect(machine.frames.value.promise(frames: Int(all) - 100) == true)
            let before = machine.counts()
            #expect(failure(machine, Self.range(3000, 101)) == .promised)
            #expect(failure(machine, Self.range(3000, 10)) == .promised)
            #expect(machine.counts() == before)
            try machine.frames.value.checkInvariants()
            // A section less: now it can be taken out of use for a moment.
            machine.frames.value.withdrawPromise(frames: 1024)
            #expect(failure(machine, Self.range(3072, 1024)) == nil)
            try machine.frames.value.checkInvariants()
            for _ in 0..<Int(all) - 1124 { _ = try need(machine.frames.value.allocatePromised()) }
        }
        #expect(machine.takeKinds().isEmpty)
    }

    /// A block for a request that may use all reserves is larger than what is not promised.
    @Test func reservesAreNotPromisedFrames() throws {
        let machine = try Machine(mebibytes: 16)
        try machine.run {
            let all = machine.frames.value.promisableFrames
            #expect(machine.frames.value.promise(frames: Int(all) - 1) == true)
            #expect(machine.frames.value.allocate(order: 3, flags: .kernel | .memoryReserves | .noWarn) == nil)
            try machine.frames.value.checkInvariants()
            for _ in 0..<Int(all) - 1 { _ = try need(machine.frames.value.allocatePromised()) }
        }
    }
}
