import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

/// A value that counts how many of its kind there are.
private struct Counted: ~Copyable {
    nonisolated(unsafe) static var alive = 0
    var number: Int
    var text: String

    init(_ number: Int) {
        self.number = number
        text = "number \(number)"
        Counted.alive += 1
    }

    deinit { Counted.alive -= 1 }
}

private struct Refusal: Error {}

@Suite(.serialized) struct ObjectCacheTests {
    private typealias Cache = ObjectCache<Counted, SimulatedPlatform>
    private typealias Box = ObjectBox<Counted, SimulatedPlatform>

    private func with(_ body: (borrowing Cache, TestMachine) throws -> Void) throws {
        let test = TestMachine()
        Counted.alive = 0
        try test.run {
            let before = test.freeFrames
            do {
                let cache = try Cache("counted", in: test.kmalloc.target)
                try body(cache, test)
            }
            test.kmalloc.shrink()
            #expect(test.freeFrames == before)
            #expect(Counted.alive == 0)
            try test.kmalloc.checkInvariants()
            #expect(test.violations().isEmpty)
        }
    }

    private func active(_ cache: borrowing Cache) -> Int { cache.statistics.activeObjects }

    @Test func valuesEndWithTheirBoxes() throws {
        try with { cache, _ in
            for round in 0..<100 {
                guard var box = cache.make({ Counted(round) }) else {
                    Issue.record("no memory")
                    return
                }
                box.value.number += 1
                let (number, text) = (box.value.number, box.value.text)
                #expect(number == round + 1 && text == "number \(round)")
                let (alive, objects) = (Counted.alive, active(cache))
                #expect(alive == 1 && objects == 1)
            }
            let objects = active(cache)
            #expect(objects == 0 && Counted.alive == 0)
        }
    }

    @Test func aValueIsTakenOut() throws {
        try with { cache, _ in
            guard let box = cache.make({ Counted(7) }) else {
                Issue.record("no memory")
                return
            }
            let value = box.take()
            let objects = active(cache)
            #expect(objects == 0 && Counted.alive == 1)
            let number = value.number
            #expect(number == 7)
        }
    }

    @Test func aFailureGivesTheMemoryBack() throws {
        try with { cache, _ in
            do {
                _ = try cache.make { () throws(Refusal) in throw Refusal() }
                Issue.record("it did not fail")
            } catch {}
            let objects = active(cache)
            #expect(objects == 0)
        }
    }

    @Test func withoutMemoryThereIsNoValue() throws {
        try with { cache, test in
            let taken = test.exhaust()
            var calls = 0
            if case .some = cache.make({
                calls += 1
                return Counted(calls)
            }) {
                Issue.record("a value without memory")
            }
            #expect(calls == 0)
            test.giveBack(taken)
        }
    }

    /// The cache ends before a box does: that is reported, and the box stays whole.
    @Test func aBoxThatOutlivesItsCache() throws {
        let test = TestMachine()
        Counted.alive = 0
        try test.run {
            func makeBox() throws -> Box? { try Cache("brief", in: test.kmalloc.target).make { Counted(3) } }
            if let box = try makeBox() {
                #expect(test.violations().map(\.kind) == [.objectInUse])
                let number = box.value.number
                #expect(number == 3)
            } else {
                Issue.record("no memory")
            }
            #expect(Counted.alive == 0)
            #expect(test.violations().isEmpty)
        }
    }

    @Test func valuesTooLargeAreRefused() throws {
        let test = TestMachine()
        test.run {
            typealias Huge = InlineArray<5000, UInt64>
            do {
                _ = try ObjectCache<Huge, SimulatedPlatform>("huge", in: test.kmalloc.target)
                Issue.record("it was made")
            } catch CacheError.sizeTooLarge {
            } catch { Issue.record(error) }
        }
    }
}
