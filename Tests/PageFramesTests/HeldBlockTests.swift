import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import PageFrames

/// A block that is freed is not merged until it is clear that the next request is not for just such a block.
@Suite struct HeldBlockTests {
    private static let orders = Array(0...10)

    /// One zone without caches, of which nobody has looked at anything since `body` began.
    private func makeMachine(_ options: PageFrameOptions = .exact) throws -> FrameMachine {
        try FrameMachine(memory: [8192..<8192 + 16384], options: options)
    }

    private func held(_ machine: FrameMachine) -> (frame: UInt, order: Int)? { machine.held(.dma32) }

    private func free(_ frame: PageFrameNumber, _ order: Int, _ machine: FrameMachine) {
        machine.run { $0.free(frame, order: order) }
    }

    @Test(arguments: orders) func aBlockIsHadAgainAsItWas(order: Int) throws {
        let machine = try makeMachine()
        let before = machine.snapshot()
        let low = try #require(machine.allocate(order: order))
        let high = try #require(machine.allocate(order: order))
        let limit = machine.machine.run { machine.permanent.value.zones[1].value.withUnsettledState { $0.heldLimit } }
        #expect(UInt(limit) == (high.rawValue / 512 + 1) * 512)
        for block in [low, high, low] {
            free(block, order, machine)
            #expect(held(machine)?.frame == block.rawValue && held(machine)?.order == order)
            #expect(machine.allocate(order: order) == block)
            #expect(held(machine) == nil)
        }
        // The second of two that are freed is merged at once, and the first is the one held.
        free(high, order, machine)
        free(low, order, machine)
        #expect(held(machine)?.frame == high.rawValue)
        #expect(machine.allocate(order: order) == high)
        free(high, order, machine)
        #expect(machine.statistics(.dma32).frees == 6)
        #expect(machine.snapshot() == before)
        try machine.run { try $0.checkInvariants() }
    }

    /// A request that the held block does not serve finds the zone as if it had been merged at once.
    @Test(arguments: [(2, .kernel), (4, .kernel), (3, .kernel | .movable)] as [(Int, AllocationFlags)])
    func anotherRequestFindsItMerged(order: Int, flags: AllocationFlags) throws {
        let machine = try makeMachine()
        // Another mobility has page blocks of its own.
        _ = try #require(machine.allocate(order: 3, flags: .kernel | .movable))
        let block = try #require(machine.allocate(order: 3))
        free(block, 3, machine)
        #expect(held(machine)?.frame == block.rawValue)
        let found = try #require(machine.allocate(order: order, flags: flags))
        #expect(held(machine) == nil)
        #expect((found == block) == (flags == .kernel), "the lowest of the page block, which is whole again")
        try machine.run { try $0.checkInvariants() }
    }

    /// What lies above the page block that was chosen last is given the chance to become whole.
    @Test func aBlockAboveTheLastChoiceIsNotHeld() throws {
        let machine = try makeMachine()
        let blocks = try (0..<9).map { _ in try #require(machine.allocate(order: 8)) }
        #expect(blocks == blocks.sorted() && blocks[8].rawValue / 512 == blocks[0].rawValue / 512 + 4)
        free(blocks[0], 8, machine)
        #expect(machine.allocate(order: 7) == blocks[0])
        // The choice fell on the lowest page block; the others lie above it.
        free(blocks[4], 8, machine)
        #expect(held(machine) == nil)
        free(blocks[1], 8, machine)
        #expect(held(machine)?.frame == blocks[1].rawValue)
        #expect(machine.allocate(order: 8) == blocks[1])
        #expect(machine.allocate(order: 8) == blocks[4])
        try machine.run { try $0.checkInvariants() }
    }

    /// Every report and check says that a held block is free, and merged with its buddies.
    @Test(arguments: orders) func aLookFindsItMerged(order: Int) throws {
        let looks: [(FrameMachine) throws -> Void] = [
            { _ = $0.statistics(.dma32) },
            { machine in _ = machine.run { $0.report(of: .dma32) } },
            { machine in try machine.run { try $0.checkInvariants() } },
            { _ = $0.state(8192) },
            { machine in machine.run { $0.drainFrameCaches() } },
            { machine in _ = machine.run { $0.freeFrames } },
            { machine in _ = machine.run { $0.promisableFrames } },
            { machine in machine.run { $0.setFrameCaches(enabled: true) } },
        ]
        for look in looks {
            let machine = try makeMachine()
            let before = machine.snapshot()
            let block = try #require(machine.allocate(order: order))
            free(block, order, machine)
            #expect(held(machine) != nil)
            try look(machine)
            #expect(held(machine) == nil)
            #expect(machine.state(block.rawValue) == .free)
            #expect(machine.run { $0.table.freeOrder(covering: block) } == 10)
            #expect(machine.snapshot() == before)
        }
    }

    @Test(arguments: orders) func aWrongFreeOfItIsCaught(order: Int) throws {
        let machine = try makeMachine()
        let size: UInt = 1 << UInt(order)
        for (frame, wrong) in [(0, order), (0, 0), (size - 1, 0), (0, 10)] as [(UInt, Int)] {
            let block = try #require(machine.allocate(order: order))
            free(block, order, machine)
            #expect(held(machine) != nil)
            free(PageFrameNumber(block.rawValue + frame), wrong, machine)
            #expect(machine.takeKinds() == [.doubleFree])
            #expect(machine.allocate(order: order) == block)
            free(block, order, machine)
        }
        try machine.run { try $0.checkInvariants() }
    }

    /// Promises and marks hold for it as for every free frame.
    @Test func itIsNotTakenFromWhatIsPromised() throws {
        let machine = try makeMachine()
        var last: PageFrameNumber?
        while let frame = machine.allocate(order: 0, flags: .kernel | .noWarn) { last = frame }
        let frame = try #require(last)
        free(frame, 0, machine)
        #expect(machine.promise(1))
        #expect(machine.allocate(order: 0, flags: .kernel | .noWarn) == nil)
        #expect(machine.allocatePromised() == frame)
        free(frame, 0, machine)
        #expect(held(machine)?.frame == frame.rawValue)
        // By hand, so that nothing settles the zone between the free and the request.
        machine.machine.run { machine.permanent.value.zones[1].value.withUnsettledState { $0.promisedFrames = 1 } }
        let request = ZoneRequest(order: 0, flags: .kernel, above: .low)
        let readily = machine.machine.run {
            machine.permanent.value.zones[1].value.withUnsettledState { $0.allocateReadily(request) }
        }
        #expect(readily == nil && held(machine)?.frame == frame.rawValue)
        machine.withZone(.dma32) { $0.promisedFrames = 0 }
        #expect(machine.allocate(order: 0) == frame)
    }

    /// A block that is freed in a section that is being isolated goes back to nobody.
    @Test(arguments: orders) func isolationMergesIt(order: Int) throws {
        let machine = try makeMachine()
        let block = try #require(machine.allocate(order: order))
        let section = block.rawValue >> 10
        free(block, order, machine)
        #expect(machine.withZone(.dma32) { $0.isolate(section: section) } == .isolated)
        let elsewhere = try #require(machine.allocate(order: order))
        #expect(elsewhere.rawValue >> 10 != section)
        free(elsewhere, order, machine)
        machine.withZone(.dma32) { $0.rejoin(section: section) }
        // In use when the isolation begins, and freed during it.
        let other = try #require(machine.allocate(order: order))
        let isolated = other.rawValue >> 10
        #expect(machine.withZone(.dma32) { $0.isolate(section: isolated) } == .isolated)
        free(other, order, machine)
        #expect(held(machine) != nil)
        #expect(try #require(machine.allocate(order: order)).rawValue >> 10 != isolated)
        #expect(machine.withZone(.dma32) { $0.buddy.counts.setAsideFrames(.isolated) } == 1024)
        machine.withZone(.dma32) { $0.rejoin(section: isolated) }
        try machine.run { try $0.checkInvariants() }
    }

    /// Where all but a contiguous area is promised, movable contents go there, held block or not.
    @Test(arguments: orders) func movableContentsLeaveWhatIsPromised(order: Int) throws {
        var options = PageFrameOptions.exact
        options.contiguousByteCount = 8 << 20
        let machine = try makeMachine(options)
        let promised = Int(machine.run { $0.promisableFrames })
        #expect(machine.promise(promised))
        for _ in 0..<3 {
            let block = try #require(machine.allocate(order: order, flags: .kernel | .movable))
            #expect(machine.mobility(of: block) == .contiguous)
            try machine.run { try $0.checkInvariants() }
            free(block, order, machine)
        }
        machine.run { $0.withdrawPromise(frames: 1 << order) }
        // Held in a page block for movable contents, and then promised.
        let block = try #require(machine.allocate(order: order, flags: .kernel | .movable))
        free(block, order, machine)
        #expect(machine.promise(Int(machine.run { $0.promisableFrames })))
        let again = try #require(machine.allocate(order: order, flags: .kernel | .movable))
        #expect(machine.mobility(of: again) == .contiguous)
        try machine.run { try $0.checkInvariants() }
    }
}
