import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@Suite struct ContiguousAreaTests {
    static let size: UInt = 100 << 20

    private func allocate(_ machine: Machine, _ byteCount: UInt, alignment: UInt = 4096) -> (
        range: Range<PageFrameNumber>?, error: ContiguousError?
    ) {
        do throws(ContiguousError) {
            return (try machine.frames.value.allocateContiguousArea(byteCount: byteCount, alignment: alignment), nil)
        } catch {
            return (nil, error)
        }
    }

    @Test func theAreaIsKeptAtTheTop() throws {
        let machine = try Machine(mebibytes: 512, contiguousByteCount: Self.size)
        try machine.run {
            let area = machine.frames.value.contiguousArea
            #expect(area.upperBound.rawValue - area.lowerBound.rawValue == 25600)
            #expect(area.lowerBound.rawValue > 256 * 256)
            try machine.frames.value.checkInvariants()
            // Nothing but movable contents comes there.
            var taken: [PageFrameNumber] = []
            for flags in [
                AllocationFlags.kernel | .noWarn, .kernel | .reclaimable | .noWarn, .kernel | .memoryReserves | .noWarn,
            ] {
                while let frame = machine.frames.value.allocate(order: 5, flags: flags) { taken.append(frame) }
            }
            #expect(taken.allSatisfy { !area.contains($0) })
            #expect(taken.count > 1000)
            #expect(machine.frames.value.freeFrames >= 25600)
            #expect(machine.frames.value.promisableFrames < 4096)
            let movable = try need(machine.frames.value.allocate(order: 5, flags: .kernel | .movable))
            #expect(area.contains(movable))
            try machine.frames.value.checkInvariants()
        }
    }

    @Test func areasThatCannotBeAreNone() throws {
        for size in [300 << 20, 1 << 40, .max] as [UInt] {
            let machine = try Machine(mebibytes: 512, contiguousByteCount: size)
            machine.run {
                #expect(machine.frames.value.contiguousArea.isEmpty)
                #expect(allocate(machine, 4096).error == .areaTooSmall)
                #expect(machine.frames.value.cma_alloc(1, 0) == nil)
            }
        }
        // Enough memory, and no run that long. (What lies below 16 MiB is no place for it.)
        let machine = try Machine(
            memory: [256..<65536], reserved: (1..<16).map { $0 * 4096..<$0 * 4096 + 1 }, contiguousByteCount: 20 << 20)
        machine.run { #expect(machine.frames.value.contiguousArea.isEmpty) }
    }

    @Test func sizesAndAlignments() throws {
        let machine = try Machine(mebibytes: 512, contiguousByteCount: Self.size)
        try machine.run {
            let before = machine.snapshot()
            var taken: [Range<PageFrameNumber>] = []
            for (size, alignment) in [
                (1, 1), (4097, 1), (1 << 20, 1 << 20), (10 << 20, 8 << 20), (5 << 20, 4096), (4096, 4 << 20),
            ] as [(UInt, UInt)] {
                let range = try need(allocate(machine, size, alignment: alignment).range)
                #expect(range.upperBound.rawValue - range.lowerBound.rawValue == (size + 4095) / 4096)
                #expect(range.lowerBound.rawValue * 4096 % alignment == 0)
                #expect(taken.allSatisfy { !$0.overlaps(range) })
                taken.append(range)
                try machine.frames.value.checkInvariants()
            }
            for (size, alignment) in [(Self.size + 1, 4096), (4096, 0), (4096, 3), (.max, 4096)] as [(UInt, UInt)] {
                #expect(allocate(machine, size, alignment: alignment).error == .areaTooSmall)
            }
            #expect(allocate(machine, 0).error == .emptyRange)
            #expect(allocate(machine, 4096, alignment: 1 << 63).error != nil)
            for range in taken { #expect(machine.frames.value.releaseContiguousArea(range) == true) }
            #expect(machine.snapshot() == before)
            #expect(machine.frames.value.cma_release(PageFrameNumber(3000), 1) == false)
            #expect(machine.takeKinds() == [.wildFree])
            let first = try need(machine.frames.value.cma_alloc(256, 8))
            #expect(machine.frames.value.cma_release(first, 256) == true)
            #expect(machine.frames.value.cma_alloc(.max, 0) == nil)
            #expect(machine.frames.value.cma_alloc(1, 64) == nil)
            #expect(machine.frames.value.cma_alloc(1, -1) == nil)
            #expect(machine.snapshot() == before)
        }
    }

    /// 100 MiB that are physically contiguous, on a machine of 512 MiB, after movable contents have filled the area.
    @Test func theWholeAreaCanBeHadAfterMovableContentsFilledIt() throws {
        let machine = try Machine(mebibytes: 512, contiguousByteCount: Self.size)
        let blocks = MovableBlocks(on: machine)
        try machine.run {
            _ = try need(machine.frames.value.movers.register(blocks.mover, name: "blocks"))
            let start = machine.counts()
            let area = machine.frames.value.contiguousArea
            var generator = SeededGenerator.fromEnvironment(default: 0x5eed_0304)
            while machine.frames.value.freeFrames > 0 {
                if !blocks.allocate(order: Int.random(in: 0...3, using: &generator)) { _ = blocks.allocate(order: 0) }
            }
            let inArea = blocks.frames.filter { area.contains($0) }.count
            #expect(inArea > 3000)
            // Now the rest of memory gets room, and the area does not.
            blocks.free { !area.contains($0.frame) && Int.random(in: 0..<3, using: &generator) > 0 }
            let before = machine.counts()
            let range = try need(allocate(machine, Self.size).range)
            #expect(range == area)
            #expect(blocks.moves >= inArea)
            #expect(blocks.areIntact)
            try machine.frames.value.checkInvariants()
            #expect(allocate(machine, 4096).error != nil)
            #expect(machine.frames.value.releaseContiguousArea(range) == true)
            #expect(machine.counts() == before)
            blocks.free()
            #expect(machine.counts() == start)
            try machine.frames.value.checkInvariants()
        }
        #expect(machine.takeKinds().isEmpty)
    }

    /// Movable contents take what promises do not stand on, and no more.
    @Test func movableContentsLeaveThePromisedFrames() throws {
        let machine = try Machine(mebibytes: 64, contiguousByteCount: 16 << 20)
        let blocks = MovableBlocks(on: machine)
        try machine.run {
            let promised = Int(machine.frames.value.promisableFrames) - 300
            #expect(machine.frames.value.promise(frames: promised) == true)
            while blocks.allocate(order: 0) {}
            while blocks.allocate(order: 2) {}
            try machine.frames.value.checkInvariants()
            #expect(blocks.count >= 4096)
            for _ in 0..<promised { _ = try need(machine.frames.value.allocatePromised()) }
            blocks.free()
            try machine.frames.value.checkInvariants()
        }
        #expect(machine.takeKinds().isEmpty)
    }
}
