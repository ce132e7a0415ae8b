import MemoryPrimitives
import Testing

@testable import PageFrames

/// Everything that can happen to a few frames: all calls, in every state that calls lead to, compared with a model.
@Suite struct ExhaustiveTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var frames: Range<UInt>
        /// The most calls that lead to a state; nil for all states.
        var depth: Int?
        var testDescription: String { name }
    }

    static let cases: [Case] = [
        Case(name: "8 frames", frames: 1024..<1032),
        Case(name: "7 frames: the last buddies do not exist", frames: 1025..<1032),
        Case(name: "8 frames on both sides of a page block's end", frames: 1532..<1540),
        Case(name: "8 frames on both sides of a section's end", frames: 2044..<2052),
        Case(name: "12 frames", frames: 1024..<1036),
        Case(name: "16 frames", frames: 1024..<1040, depth: 8),
        Case(name: "32 frames, unaligned", frames: 2048 - 13..<2048 + 19, depth: 6),
    ]

    @Test(arguments: cases) func everySequence(_ tested: Case) throws {
        let arena = try SmallArena(frames: tested.frames)
        let found = try arena.machine.machine.run { try explore(arena, depth: tested.depth ?? .max) }
        if tested.depth == nil {
            #expect(found == Self.ways(tested.frames))
        } else {
            #expect(found > 1000)
        }
    }

    /// How many ways there are to divide frames into blocks in use and free frames: each way is a state.
    private static func ways(_ frames: Range<UInt>) -> Int {
        func ways(order: Int) -> Int { order == 0 ? 2 : 1 + ways(order: order - 1) * ways(order: order - 1) }
        return SmallModel(frames: frames).freeBlocks.enumerated().reduce(1) { product, blocks in
            (0..<blocks.element).reduce(product) { result, _ in result * ways(order: blocks.offset) }
        }
    }

    /// Visits all states within `depth` calls of the initial one. - Returns: how many there are.
    private func explore(_ arena: SmallArena, depth: Int) throws -> Int {
        var visited: Set<SmallArena.Essence> = [arena.essence]
        var frontier = [arena.save()]
        var length = 0
        while !frontier.isEmpty, length < depth {
            var next: [SmallArena.Snapshot] = []
            for saved in frontier {
                arena.restore(saved)
                let live = arena.model.live
                try refuseEverythingElse(arena, live)
                func note() throws {
                    // As the call left it: a check merges what is held.
                    let reached = arena.save()
                    try arena.check()
                    guard visited.insert(arena.essence).inserted else { return }
                    next.append(reached)
                    if visited.count % 50 == 0 { try arena.machine.frames.value.checkInvariants() }
                }
                for order in 0...5 {
                    for flags: AllocationFlags in [.dma | .noWarn, .dma | .movable | .noWarn] {
                        arena.restore(saved)
                        if try arena.allocate(order: order, flags: flags) { try note() } else { try arena.check() }
                    }
                }
                for block in live {
                    arena.restore(saved)
                    arena.free(block.frame, order: block.order)
                    try note()
                }
            }
            frontier = next
            length += 1
        }
        return visited.count
    }

    /// Every free that is an error is refused and changes nothing.
    private func refuseEverythingElse(_ arena: SmallArena, _ live: [(frame: UInt, order: Int)]) throws {
        for frame in arena.frames.lowerBound - 1...arena.frames.upperBound {
            for order in [0, 1, 2, 3, 10] where !live.contains(where: { $0 == (frame, order) }) {
                try arena.refuse(frame, order: order)
            }
        }
        try arena.check()
    }
}
