import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import PageFrames

/// `debug_guardpage`: what lies behind a block is nobody's, and a write to it is found.
@Suite struct GuardPageTests {
    @Test(arguments: 0..<10)
    func anOverrunIsNamedWhenTheBlockIsFreed(order: Int) throws {
        let machine = try CheckedMachine(.guardPages | .owners)
        machine.machine.trace = [0x1111, 0x2222]
        let free = machine.freeFrames
        let block = try #require(machine.allocate(order))
        let size = 1 << UInt(order) as UInt
        #expect(machine.state(block + size) == .guardPage)
        machine[block, Int(size) * 4096 - 1] = 1
        try machine.check()
        // The first byte behind the block, one further on, and the last byte before the next block.
        for (offset, value) in [(0, 0x41), (100, 0x42), (Int(size) * 4096 - 1, 0x43)] as [(Int, UInt8)] {
            let again = try #require(machine.allocate(order))
            machine[again, Int(size) * 4096 + offset] = value
            machine.free(again, order)
            let violations = machine.takeViolations()
            #expect(violations.count == 1)
            let violation = try #require(violations.first)
            #expect(violation.kind == .overrun)
            #expect(violation.origin == again.address.rawValue)
            #expect(violation.address - violation.origin == size * 4096 + UInt(offset))
            #expect(violation.value == UInt(value))
            #expect(violation.byteCount == 1)
            let owner = try #require(machine.history(PageFrameNumber(violation.origin / 4096)))
            #expect(Int(owner.order) == order && owner.allocationTrace[1] == 0x2222)
        }
        machine.free(block, order)
        #expect(machine.freeFrames == free)
        try machine.check()
    }

    /// Before a block lies the guard of the one before it.
    @Test func blocksThatFollowEachOtherHaveAGuardBetweenThem() throws {
        let machine = try CheckedMachine(.guardPages)
        let blocks = try (0..<50).map { _ in try #require(machine.allocate()) }
        for block in blocks.dropFirst() { #expect(machine.state(PageFrameNumber(block.rawValue - 1)) == .guardPage) }
        let victim = blocks[7]
        machine[PageFrameNumber(victim.rawValue - 1), 4095] = 0
        for block in blocks where block != victim { machine.free(block) }
        #expect(machine.takeViolations().map(\.kind) == [.overrun])
        machine.free(victim)
        try machine.check()
    }

    /// A block that is freed as a cold one takes its guard along, too.
    @Test(arguments: 0...4) func aColdBlockGivesItsGuardBack(order: Int) throws {
        let machine = try CheckedMachine(.guardPages)
        let free = machine.freeFrames
        let block = try #require(machine.allocate(order))
        machine[block, 4096 << order] = 1
        machine.run { $0.free(block, order: order, isCold: true) }
        #expect(machine.takeViolations().map(\.kind) == [.overrun])
        #expect(machine.freeFrames == free)
        try machine.check()
    }

    @Test func aGuardIsNotForAnybodyToFree() throws {
        let machine = try CheckedMachine(.guardPages)
        let block = try #require(machine.allocate(2))
        let free = machine.freeFrames
        for frame in block.rawValue + 4..<block.rawValue + 8 { machine.free(PageFrameNumber(frame)) }
        machine.free(block + 4, 2)
        machine.free(block, 3)
        #expect(
            machine.takeViolations().map(\.kind) == [
                .wildFree, .wildFree, .wildFree, .wildFree, .wildFree, .wrongOrder,
            ])
        #expect(machine.freeFrames == free)
        try machine.check()
    }

    /// Where a guard does not fit the block is handed out without, to the last frame.
    @Test func memoryCanBeHadToTheLastFrame() throws {
        let machine = try CheckedMachine(.guardPages)
        let free = machine.freeFrames
        var blocks: [(PageFrameNumber, Int)] = []
        for order in [10, 0] { while let block = machine.allocate(order) { blocks.append((block, order)) } }
        #expect(machine.freeFrames == 0)
        try machine.check()
        for (block, order) in blocks { machine.free(block, order) }
        #expect(machine.freeFrames == free)
        try machine.check()
    }

    @Test func aPromisedFrameNeedsNoMoreThanItself() throws {
        let machine = try CheckedMachine(.guardPages)
        let all = Int(machine.freeFrames)
        #expect(machine.run { $0.promise(frames: all) })
        let frames = try (0..<all).map { _ in try #require(machine.run { $0.allocatePromised() }) }
        for frame in frames { machine.free(frame) }
        #expect(Int(machine.freeFrames) == all)
        try machine.check()
    }

    @Test func aGuardCanBeGivenUp() throws {
        let machine = try CheckedMachine(.guardPages | .poison)
        let free = machine.freeFrames
        let block = try #require(machine.allocate(3))
        #expect(machine.freeFrames == free - 16)
        machine.run { $0.dropGuard(of: block, order: 3) }
        #expect(machine.freeFrames == free - 8)
        machine.run { $0.dropGuard(of: block, order: 3) }
        machine.free(block, 3)
        #expect(machine.freeFrames == free)
        try machine.check()
    }

    @Test(arguments: 0...3) func aBlockThatIsFreedColdTakesItsGuardAlong(order: Int) throws {
        let machine = try CheckedMachine(.guardPages | .poison)
        let free = machine.freeFrames
        let block = try #require(machine.allocate(order))
        machine[block, 4096 << order] = 0
        machine.run { $0.free(block, order: order, isCold: true) }
        #expect(machine.takeViolations().map(\.kind) == [.overrun])
        #expect(machine.freeFrames == free)
        machine[block, 5] = 1
        while machine.allocate(0) != nil {}
        #expect(machine.takeViolations().map(\.kind) == [.writeAfterFree])
        try machine.check()
    }

    /// Blocks of all orders from several CPUs at once: guards are found again, and nothing is reported.
    @Test func allChecksFromSeveralCPUs() async throws {
        let all: FrameChecks = .poison | .zeroOnAllocation | .zeroOnFree | .owners | .guardPages
        let machine = try CheckedMachine(mebibytes: 64, all, cpuCount: 4)
        let free = machine.freeFrames
        let seed = SeededGenerator.fromEnvironment(default: 11)
        await withTaskGroup(of: Void.self) { group in
            for cpu in 0..<4 {
                group.addTask {
                    var generator = seed.forCPU(cpu)
                    var held: [(PageFrameNumber, Int)] = []
                    for _ in 0..<1500 {
                        let order = Int.random(in: 0...5, using: &generator)
                        machine.run(onCPU: cpu) { frames in
                            if held.count < 20, let block = frames.allocate(order: order, flags: .kernel | .noWarn) {
                                machine[block, 4096 << order - 1] = UInt8(cpu)
                                held.append((block, order))
                            } else if !held.isEmpty {
                                let (block, order) = held.remove(at: Int.random(in: held.indices, using: &generator))
                                frames.free(block, order: order)
                            }
                        }
                    }
                    machine.run(onCPU: cpu) { frames in for (block, order) in held { frames.free(block, order: order) }
                    }
                }
            }
        }
        #expect(machine.freeFrames == free)
        try machine.check()
    }
}
