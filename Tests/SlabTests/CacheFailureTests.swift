import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import Slab

/// Every request for page frames that a call makes fails in turn; then everything is as before.
@Suite struct CacheFailureTests {
    /// Runs `call` with its first request failing, then its second, and so on until it makes fewer. It returns what undoes
    /// it, or nil where it failed. - Returns: how many requests failed.
    private func failEach(_ test: TestMachine, _ call: () throws -> (() -> Void)?) throws -> Int {
        try test.run {
            let frames = test.frames.target
            for nth in 1...300 as ClosedRange<UInt> {
                test.kmalloc.shrink()
                let before = test.counters()
                frames.value.failAllocation(nth: nth)
                var undo = try call()
                let isSpent = frames.value.requestsUntilFailure == 0
                frames.value.failAllocation(nth: 0)
                let isDone = undo != nil
                undo?()
                // What it holds ends.
                undo = nil
                test.kmalloc.shrink()
                #expect(test.counters() == before, "request \(nth)")
                try test.kmalloc.checkInvariants()
                #expect(test.violations().isEmpty)
                #expect(isSpent != isDone, "request \(nth)")
                if !isSpent { return Int(nth) - 1 }
            }
            Issue.record("the call makes requests without end")
            return 0
        }
    }

    @Test(arguments: [8, 512, 32768] as [UInt])
    func makingACache(size: UInt) throws {
        let test = TestMachine()
        let made = try failEach(test) {
            test.kmalloc.kmem_cache_create("test", size, 0, .noMerge, nil).map { cache in
                { test.kmalloc.destroyCache(cache) }
            }
        }
        #expect(made >= 2)
    }

    @Test(arguments: [(64, 200), (512, 50), (4096, 30), (32768, 5)] as [(UInt, Int)])
    func manyObjects(size: UInt, count: Int) throws {
        let test = TestMachine()
        let cache = try test.run { try test.kmalloc.makeCache(size) }
        let made = try failEach(test) {
            cache.allocateAll(count).map { objects in { cache.freeAll(objects) } }
        }
        #expect(made >= 3)
    }

    /// With a shared cache there is nothing to be had, and so nothing to fail.
    @Test func joiningACache() throws {
        let test = TestMachine()
        _ = try test.run { try test.kmalloc.makeCache(640) }
        let made = try failEach(test) {
            test.kmalloc.kmem_cache_create("test", 640, 0, .none, nil).map { cache in
                { test.kmalloc.destroyCache(cache) }
            }
        }
        #expect(made == 0)
    }

    @Test(arguments: PoolKind.allCases)
    func poolsAndTheirResizing(kind: PoolKind) throws {
        let test = TestMachine()
        let cache = try test.run { try test.kmalloc.makeCache("pool", 120, .noMerge) }
        let made = try failEach(test) {
            guard let pool = try? kind.make(5, on: test, cache) else { return nil }
            return { withExtendedLifetime(pool) {} }
        }
        #expect(made >= 1)
        let pool = try test.run { try kind.make(2, on: test, cache) }
        let resized = try failEach(test) {
            guard (try? pool.resize(to: 120)) != nil else {
                #expect(pool.minimum == 2 && pool.reserved == 2)
                return nil
            }
            return { try? pool.resize(to: 2) }
        }
        #expect(resized >= 1)
    }

    @Test func copies() throws {
        let test = TestMachine()
        let text = String(repeating: "x", count: 9000)
        let made = try failEach(test) {
            test.kmalloc.kstrdup(text).map { copy in { test.kmalloc.free(copy) } }
        }
        #expect(made == 1)
    }
}
