import MemoryPrimitives
import Testing

@testable import PageFrames

/// Everything that can happen to a few frames.
@Suite struct ExhaustiveTests {
    /// Every state that eight frames can reach through any sequence of calls, and every call in each of them.
    @Test func everyStateOfEightFrames() throws {
        let states = try explore(SmallZone(frameCount: 8), orders: 0...4, depth: .max)
        #expect(states > 500)
        print("states of 8 frames: \(states)")
    }

    /// Every sequence of calls on sixteen frames, up to a length.
    @Test func everyShortSequenceOnSixteenFrames() throws {
        let states = try explore(SmallZone(frameCount: 16), orders: 0...4, depth: 7)
        print("states of 16 frames within 7 calls: \(states)")
        #expect(states > 500)
    }

    /// A number of frames that is no power of two: the buddies of the last blocks do not exist.
    @Test func everyStateOfSevenFrames() throws {
        #expect(try explore(SmallZone(frameCount: 7), orders: 0...3, depth: .max) > 100)
    }

    /// Visits all states within `depth` calls of the initial one. - Returns: how many there are.
    private func explore(_ zone: SmallZone, orders: ClosedRange<Int>, depth: Int) throws -> Int {
        var visited: Set<[UInt64]> = [zone.essence]
        var frontier = [zone.save()]
        var length = 0
        while !frontier.isEmpty, length < depth {
            var next: [[UInt8]] = []
            for saved in frontier {
                zone.restore(saved)
                let live = zone.live
                let essence = zone.essence
                let model = zone.model
                try refuseEverythingElse(zone, live: live, essence: essence, orders: orders)
                for order in orders {
                    zone.restore(saved)
                    let free = zone.freeBlocks
                    let frame = zone.allocate(order: order)
                    guard (frame != nil) == free[order...].contains(where: { $0 > 0 }) else {
                        throw Wrong(what: "allocation of order \(order)", state: essence)
                    }
                    guard let frame else { continue }
                    guard model.isFree(Int(frame), order: order), frame % (1 << UInt32(order)) == 0 else {
                        throw Wrong(what: "block \(frame) of order \(order)", state: essence)
                    }
                    try check(zone, from: essence)
                    if visited.insert(zone.essence).inserted { next.append(zone.save()) }
                }
                for block in live {
                    zone.restore(saved)
                    guard zone.free(block.frame, order: block.order) == nil else {
                        throw Wrong(what: "free of \(block)", state: essence)
                    }
                    try check(zone, from: essence)
                    if visited.insert(zone.essence).inserted { next.append(zone.save()) }
                }
            }
            frontier = next
            length += 1
        }
        return visited.count
    }

    /// Every free that is an error is refused and changes nothing.
    private func refuseEverythingElse(
        _ zone: SmallZone, live: [(frame: Int, order: Int)], essence: [UInt64], orders: ClosedRange<Int>
    ) throws {
        let model = zone.model
        for frame in 0...zone.frameCount {
            for order in orders where !live.contains(where: { $0 == (frame, order) }) {
                let kind = zone.free(frame, order: order)?.kind
                let expected: MemoryViolation.Kind =
                    if frame % (1 << order) != 0 {
                        .misalignedFree
                    } else if frame >= zone.frameCount {
                        .wildFree
                    } else if live.contains(where: { $0.frame == frame }) {
                        .wrongOrder
                    } else if model.isFree(frame, order: 0) {
                        .doubleFree
                    } else {
                        .freeOfTail
                    }
                guard kind == expected, zone.essence == essence else {
                    throw Wrong(what: "wrong free of \(frame), order \(order): \(kind as Any)", state: essence)
                }
            }
        }
    }

    private func check(_ zone: SmallZone, from essence: [UInt64]) throws {
        try zone.state.pointee.checkInvariants()
        let model = zone.model
        guard zone.freeBlocks == model.freeBlocks(in: 0..<1024),
            zone.state.pointee.freeFrames == UInt(model.freeFrames)
        else { throw Wrong(what: "free blocks \(zone.freeBlocks)", state: essence) }
    }

    struct Wrong: Error {
        let what: String
        let state: [UInt64]
    }
}
