import MemoryPrimitives
import PageFrames
import SimulatedMachine
import TestSupport
import Testing

@Suite struct MoverTests {
    /// A machine whose memory from frame 4096 to 8192 is full of movable blocks, with gaps, and its other memory free.
    private func crowded() throws -> (Machine, MovableBlocks) {
        let machine = try Machine(mebibytes: 64)
        let blocks = MovableBlocks(on: machine)
        try machine.run {
            _ = try need(machine.frames.value.movers.register(blocks.mover, name: "blocks"))
            var generator = SeededGenerator.fromEnvironment(default: 0x5eed_0302)
            while blocks.allocate(order: Int.random(in: 0...6, using: &generator)) {}
            while blocks.allocate(order: 0) {}
            blocks.free { !(4096..<8192).contains($0.frame.rawValue) || Int.random(in: 0..<5, using: &generator) == 0 }
        }
        return (machine, blocks)
    }

    @Test(arguments: [(4096, 4096), (5000, 1), (5001, 777), (4000, 3000)] as [(UInt, UInt)])
    func whatIsMovableIsMoved(first: UInt, count: UInt) throws {
        let (machine, blocks) = try crowded()
        try machine.run {
            let before = machine.counts()
            let range = ContiguousTests.range(first, count)
            let free = machine.frames.value.freeFrames
            #expect(failure(machine, range) == nil)
            #expect(machine.frames.value.freeFrames == free - count)
            #expect(blocks.areIntact)
            #expect(blocks.frames.allSatisfy { !range.contains($0) })
            try machine.frames.value.checkInvariants()
            machine.frames.value.freeContiguous(range)
            #expect(machine.counts() == before)
            blocks.free()
            try machine.frames.value.checkInvariants()
        }
        #expect(machine.takeKinds().isEmpty)
    }

    @Test func withoutAMoverEverythingIsBusy() throws {
        let machine = try Machine(mebibytes: 32)
        let blocks = MovableBlocks(on: machine)
        try machine.run {
            let place = try need(machine.frames.value.movers.register(blocks.mover, name: "blocks"))
            #expect(blocks.allocate(order: 4) == true)
            let frame = blocks.frames[0]
            if case .removed = machine.frames.value.movers.unregister(place) {} else { Issue.record("not removed") }
            if case .unknown = machine.frames.value.movers.unregister(place) {} else { Issue.record("still there") }
            let before = machine.counts()
            #expect(failure(machine, frame..<frame + 10) == .busy(frame))
            #expect(machine.counts() == before && blocks.moves == 0)
            for _ in 0..<8 { _ = try need(machine.frames.value.movers.register(blocks.mover, name: "blocks")) }
            #expect(machine.frames.value.movers.register(blocks.mover, name: "blocks").map { _ in 1 } == nil)
            #expect(failure(machine, frame..<frame + 10) == nil)
        }
    }

    @Test func aBlockWithASecondReferenceIsBusy() throws {
        let machine = try Machine(mebibytes: 32)
        let blocks = MovableBlocks(on: machine)
        try machine.run {
            _ = try need(machine.frames.value.movers.register(blocks.mover, name: "blocks"))
            #expect(blocks.allocate(order: 2, flags: .kernel | .movable | .compound) == true)
            let frame = blocks.frames[0]
            machine.frames.value.setTag(5, of: frame)
            machine.frames.value.getPage(frame + 1)
            #expect(failure(machine, frame + 3..<frame + 4) == .busy(frame + 3))
            #expect(blocks.moves == 0)
            machine.frames.value.putPage(frame)
            #expect(failure(machine, frame + 3..<frame + 4) == nil)
            // Moved as what it was: compound, with its tag.
            let moved = blocks.frames[0]
            #expect(machine.frames.value.compound_order(moved + 3) == 2)
            #expect(machine.frames.value.tag(of: moved) == 5)
            #expect(machine.frames.value.referenceCount(of: moved) == 1)
            try machine.frames.value.checkInvariants()
        }
        #expect(machine.takeKinds().isEmpty)
    }

    /// The 1st, 2nd, 3rd ... move fails in turn.
    @Test func aMoveThatFailsLeavesAllCounts() throws {
        let (machine, blocks) = try crowded()
        try machine.run {
            let before = machine.counts()
            let range = ContiguousTests.range(4096, 4096)
            var failures = 0
            while true {
                blocks.refuseMove(failures % 7 + 1)
                guard case .busy(let frame) = failure(machine, range) else { break }
                #expect(range.contains(frame))
                #expect(machine.counts() == before)
                #expect(blocks.areIntact)
                try machine.frames.value.checkInvariants()
                failures += 1
                if failures > 1000 { break }
            }
            #expect(failures > 20)
            machine.frames.value.freeContiguous(range)
            #expect(machine.counts() == before)
        }
        #expect(machine.takeKinds().isEmpty)
    }

    /// There is room for 0, 1, 2, 3 ... frames to be moved.
    @Test func memoryThatRunsOutLeavesAllCounts() throws {
        let machine = try Machine(mebibytes: 32)
        let blocks = MovableBlocks(on: machine)
        try machine.run {
            _ = try need(machine.frames.value.movers.register(blocks.mover, name: "blocks"))
            while blocks.allocate(order: 0) {}
            let range = ContiguousTests.range(4096, 10)
            for room in 0...10 as ClosedRange<UInt> {
                // Outside of the section that is isolated meanwhile.
                if room > 0 { blocks.free { $0.frame.rawValue == 6000 + room } }
                let before = machine.counts()
                let found = failure(machine, range)
                if room < 10 {
                    guard case .outOfMemory(let frame) = found else {
                        Issue.record("\(String(describing: found))")
                        return
                    }
                    #expect(range.contains(frame))
                    #expect(machine.counts() == before)
                } else {
                    #expect(found == nil)
                }
                #expect(blocks.areIntact)
                try machine.frames.value.checkInvariants()
            }
        }
        #expect(machine.takeKinds().isEmpty)
    }

    /// Some CPUs allocate and free while others put together ranges.
    @Test func rangesAreTakenFromUnderALoad() throws {
        let machine = try Machine(mebibytes: 96, cpuCount: 4)
        let blocks = MovableBlocks(on: machine)
        let seeded = SeededGenerator.fromEnvironment(default: 0x5eed_0303)
        let before = try machine.run {
            _ = try need(machine.frames.value.movers.register(blocks.mover, name: "blocks"))
            return machine.counts()
        }
        let successes = Counter()
        inParallel(4) { cpu in
            machine.run(onCPU: cpu) {
                var generator = seeded.forCPU(cpu)
                var live: [(PageFrameNumber, Int)] = []
                for _ in 0..<400 {
                    if cpu < 2 {
                        let range = ContiguousTests.range(
                            UInt.random(in: 2048..<20000, using: &generator),
                            UInt.random(in: 1...3000, using: &generator))
                        if failure(machine, range) == nil {
                            successes.add()
                            for frame in range.lowerBound.rawValue..<range.upperBound.rawValue {
                                machine.pointer(PageFrameNumber(frame)).storeBytes(of: UInt64(cpu), as: UInt64.self)
                            }
                            machine.frames.value.freeContiguous(range)
                        }
                    } else {
                        for _ in 0..<20 {
                            let order = Int.random(in: 0...4, using: &generator)
                            if cpu == 2 {
                                _ = blocks.allocate(order: order)
                            } else if let frame = machine.frames.value.allocate(order: order) {
                                live.append((frame, order))
                            }
                        }
                        if live.count > 200 {
                            for (frame, order) in live { machine.frames.value.free(frame, order: order) }
                            live = []
                        }
                        if blocks.count > 300 { blocks.free() }
                    }
                }
                for (frame, order) in live { machine.frames.value.free(frame, order: order) }
            }
        }
        try machine.run {
            #expect(blocks.areIntact)
            blocks.free()
            #expect(machine.counts() == before)
            try machine.frames.value.checkInvariants()
        }
        #expect(successes.value > 0)
        #expect(machine.takeKinds().isEmpty)
    }
}
