import MemoryPrimitives
import Testing

@testable import PageFrames

/// Everything that can happen to a few frames.
@Suite struct ExhaustiveTests {
    static let kinds: [AllocationFlags] = [.kernel, .kernel | .movable, .kernel | .reclaimable]

    /// Every state that eight frames can reach through any sequence of calls, and every call in each of them.
    @Test(arguments: kinds) func everyStateOfEightFrames(flags: AllocationFlags) throws {
        let states = try explore(SmallMachine(frameCount: 8), [flags], orders: 0...4, depth: .max)
        // The states of a whole are those of its halves, and the whole one; a frame is free or in use.
        #expect(states == 677)
    }

    /// Every sequence of calls on sixteen frames, up to a length.
    @Test func everyShortSequenceOnSixteenFrames() throws {
        let states = try explore(SmallMachine(frameCount: 16), [.kernel], orders: 0...4, depth: 7)
        print("states of 16 frames within 7 calls: \(states)")
        #expect(states > 500)
    }

    /// A number of frames that is no power of two: the buddies of the last blocks do not exist.
    @Test func everyStateOfSevenFrames() throws {
        // Those of four, of two and of one frame: 26 * 5 * 2.
        #expect(try explore(SmallMachine(frameCount: 7), [.kernel], orders: 0...3, depth: .max) == 260)
    }

    /// With frame caches, whose rings hold up to two blocks.
    @Test(arguments: [1, 2] as [UInt32]) func everyStateWithFrameCaches(ringDepth: UInt32) throws {
        let machine = try SmallMachine(frameCount: 4, ringDepth: ringDepth)
        let states = try explore(machine, [.kernel, .kernel | .movable], orders: 0...2, depth: .max)
        print("states of 4 frames with rings of \(ringDepth): \(states)")
        #expect(states > 100)
    }

    /// Visits all states within `depth` calls of the initial one, a block that the zone holds being part of a state.
    /// - Returns: how many there are, whatever is held.
    private func explore(
        _ machine: SmallMachine, _ kinds: [AllocationFlags], orders: ClosedRange<Int>, depth: Int
    ) throws -> Int {
        var visited: Set<[UInt64]> = [machine.essence]
        var settled = visited
        var frontier = [machine.save()]
        var length = 0
        while !frontier.isEmpty, length < depth {
            var next: [[[UInt8]]] = []
            func arrive(from essence: [UInt64]) throws {
                let held = machine.held.map { [UInt64($0.frame), UInt64($0.order)] } ?? []
                let reached = visited.insert(machine.essence + held).inserted ? machine.save() : nil
                settled.insert(machine.essence)
                try checkCounts(machine, from: essence)
                guard let reached else { return }
                try machine.machine.run { try $0.checkInvariants() }
                next.append(reached)
            }
            for saved in frontier {
                machine.restore(saved)
                let live = machine.live
                let essence = machine.essence
                try refuseEverythingElse(machine, saved, live: live, essence: essence, orders: orders)
                for flags in kinds {
                    for order in orders {
                        machine.restore(saved)
                        try allocate(machine, order, flags, from: essence)
                        try arrive(from: essence)
                    }
                }
                for block in live {
                    machine.restore(saved)
                    guard machine.free(block.frame, order: block.order) == [] else {
                        throw Wrong(what: "free of \(block)", state: essence)
                    }
                    try arrive(from: essence)
                }
            }
            frontier = next
            length += 1
        }
        return settled.count
    }

    /// Allocates, where the policy says that it must and may.
    private func allocate(_ machine: SmallMachine, _ order: Int, _ flags: AllocationFlags, from essence: [UInt64])
        throws
    {
        let cached = machine.cached.first { $0.order == order && $0.mobility == flags.mobility && !$0.frames.isEmpty }
        let holdsNothing = machine.cached.allSatisfy { $0.frames.isEmpty }
        var model = machine.model
        let before = model
        let isHeld = flags.mobility == machine.machine.mobility(of: PageFrameNumber(SmallMachine.firstFrame))
        let held = machine.held.flatMap { isHeld && cached == nil && $0.order == order ? $0.frame : nil }
        let frame = machine.allocate(order: order, flags: flags)
        // The block that was freed last; what is held, where there are no caches; else where the policy puts it. What
        // other rings hold is asked for last, and then it is enough that the block was nobody's.
        let placed = model.take(order: order, .movable)
        let expected = cached?.frames.last ?? (machine.hasCaches ? nil : held) ?? placed
        if cached != nil || expected != nil || holdsNothing {
            guard frame == expected else {
                throw Wrong(what: "order \(order) at \(frame as Any), not \(expected as Any)", state: essence)
            }
        } else if let frame {
            guard !before.isFree(frame, order: order), frame % (1 << order) == 0 else {
                throw Wrong(what: "order \(order) at \(frame)", state: essence)
            }
        }
    }

    /// Every free that is an error is refused and changes nothing.
    private func refuseEverythingElse(
        _ machine: SmallMachine, _ saved: [[UInt8]], live: [(frame: Int, order: Int)], essence: [UInt64],
        orders: ClosedRange<Int>
    ) throws {
        for frame in 0...machine.frameCount {
            for order in orders where !live.contains(where: { $0 == (frame, order) }) {
                // With what is held, which each refusal merges.
                machine.restore(saved)
                let kinds = machine.free(frame, order: order)
                let expected: MemoryViolation.Kind =
                    if frame % (1 << order) != 0 {
                        .misalignedFree
                    } else if frame >= machine.frameCount {
                        .wildFree
                    } else if live.contains(where: { $0.frame == frame }) {
                        .wrongOrder
                    } else if live.contains(where: { ($0.frame..<$0.frame + 1 << $0.order).contains(frame) }) {
                        .freeOfTail
                    } else {
                        .doubleFree
                    }
                guard kinds == [expected], machine.essence == essence else {
                    throw Wrong(what: "wrong free of \(frame), order \(order): \(kinds)", state: essence)
                }
            }
        }
    }

    private func checkCounts(_ machine: SmallMachine, from essence: [UInt64]) throws {
        let model = machine.model
        guard machine.freeBlocks == model.freeBlocks,
            machine.machine.statistics(.dma32).freeFrames == UInt(model.freeFrames)
        else { throw Wrong(what: "free blocks \(machine.freeBlocks)", state: essence) }
    }

    struct Wrong: Error {
        let what: String
        let state: [UInt64]
    }
}
