import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

/// A pool on a simulated machine of its own.
private struct Pool {
    let test = TestMachine(startsKmalloc: false)
    let target: Permanent<HeaderPool<SimulatedPlatform>>

    init() {
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: HeaderPool<SimulatedPlatform>.byteCount, alignment: 64)
        let frames = test.frames.target
        target = test.run {
            Permanent(placing: HeaderPool(in: memory, frames: frames), at: .allocate(capacity: 1))
        }
    }

    func allocate(_ byteCount: Int) -> UInt? { target.value.allocate(byteCount, .kernel) }
    func free(_ address: UInt, _ byteCount: Int) { target.value.free(address, byteCount) }
    var pages: UInt { target.value.figures.pages }
    var headers: UInt { target.value.figures.slots }
}

@Suite struct HeaderPoolTests {
    @Test(arguments: [1, 64, 65, 128, 632, 640, 704])
    func slotsAreApartAndComeBack(byteCount: Int) throws {
        let pool = Pool()
        try pool.test.run {
            let before = pool.test.freeFrames
            let slots = try (0..<100).map { _ in try #require(pool.allocate(byteCount)) }.sorted()
            #expect(slots.allSatisfy { $0 % 32 == 0 && $0 % 4096 != 0 })
            #expect(zip(slots, slots.dropFirst()).allSatisfy { $1 - $0 >= UInt(byteCount) })
            // No slot leads beyond its page.
            #expect(slots.allSatisfy { $0 % 4096 + UInt(byteCount) <= 4096 })
            #expect(pool.headers == 100 && pool.test.freeFrames == before - pool.pages)
            for slot in slots.shuffled() { pool.free(slot, byteCount) }
            #expect(pool.headers == 0 && pool.pages == 0 && pool.test.freeFrames == before)
        }
    }

    @Test func aFreedSlotIsHadAgainBeforeANewPage() throws {
        let pool = Pool()
        try pool.test.run {
            let slots = try (0..<31).map { _ in try #require(pool.allocate(128)) }
            #expect(pool.pages == 1)
            pool.free(slots[7], 128)
            #expect(try #require(pool.allocate(128)) == slots[7])
            _ = try #require(pool.allocate(128))
            #expect(pool.pages == 2)
        }
    }

    @Test func withoutMemoryNothingChanges() throws {
        let pool = Pool()
        pool.test.run {
            let taken = pool.test.exhaust()
            #expect(pool.allocate(128) == nil)
            #expect(pool.pages == 0 && pool.headers == 0)
            pool.test.giveBack(taken)
            #expect(pool.allocate(128) != nil)
        }
    }
}
