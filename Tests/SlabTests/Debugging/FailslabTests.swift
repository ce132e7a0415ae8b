import MemoryPrimitives
import PageFrames
import Testing

@testable import Slab

@Suite struct FailslabTests {
    private func machine(_ value: StaticString) -> TestMachine {
        TestMachine(slab: SlabOptions(slubDebug: nil) { $0.failures = FailurePlan(value.buffer) })
    }

    @Test func theNthFailsOnce() {
        let test = machine("nth:3")
        test.run {
            let objects = (0..<6).map { _ in test.kmalloc.allocate(64, flags: .kernel) }
            #expect(objects.map { $0 == nil } == [false, false, true, false, false, false])
            #expect(test.kmalloc.injectedFailures == 1 && test.kmalloc.allocationsUntilFailure == 0)
            test.kmalloc.failAllocation(nth: 1)
            #expect(test.kmalloc.allocate(8, flags: [.kernel, .noFail]) != nil)
            #expect(test.kmalloc.allocate(20000) != nil, "blocks are not objects")
            #expect(test.kmalloc.allocate(8) == nil)
            for object in objects { test.kmalloc.free(object) }
        }
    }

    @Test func onlyNamedCachesFail() {
        let test = machine("probability:100,kmalloc-64,kmalloc-9*")
        test.run {
            #expect(test.kmalloc.allocate(64) == nil && test.kmalloc.allocate(90) == nil)
            #expect(test.kmalloc.allocate(32) != nil && test.kmalloc.allocate(128) != nil)
            #expect(!test.kmalloc.cache("kmalloc-32").isWatched)
        }
    }

    @Test func aboutAsManyFailAsWereAskedFor() {
        let test = machine("probability:20")
        test.run {
            let failed = (0..<1000).filter { _ in
                let object = test.kmalloc.allocate(8)
                test.kmalloc.free(object)
                return object == nil
            }
            #expect(150...250 ~= failed.count)
            #expect(test.kmalloc.injectedFailures == UInt(failed.count))
        }
    }

    /// Calls that take several steps: what a failure leaves is what there was.
    @Test(arguments: [8, 64, 200, 4096, 8192] as [UInt])
    func reallocationSurvivesEachFailure(size: UInt) throws {
        let test = TestMachine(slab: SlabOptions(slubDebug: "FZPU") { $0.failures = FailurePlan() })
        try test.run {
            let object = try #require(test.kmalloc.allocate(size))
            object.fill(size, seed: 7)
            for nth in 1...10 as ClosedRange<UInt> {
                let before = test.kmalloc.statistics.map(\.activeObjects)
                test.kmalloc.failAllocation(nth: nth)
                let moved = test.kmalloc.reallocate(object, size + 1)
                let failed = test.kmalloc.allocationsUntilFailure == 0
                test.kmalloc.failAllocation(nth: 0)
                #expect((moved == nil) == (failed && size < 8192))
                if let moved {
                    #expect(moved.isFilled(size, seed: 7, checked: size))
                    return test.kmalloc.free(moved)
                }
                #expect(object.isFilled(size, seed: 7, checked: size))
                #expect(test.kmalloc.statistics.map(\.activeObjects) == before)
                #expect(test.kmalloc.validate() == 0)
            }
            Issue.record("it never succeeds")
        }
    }

    /// Without memory, watched caches answer nil as others do, and lose nothing.
    @Test func exhaustionLosesNothing() {
        let test = TestMachine(
            memory: 4 << 20, slab: SlabOptions(slubDebug: "FZPU") { $0.quarantineByteCount = 1 << 16 })
        test.run {
            let before = test.freeFrames
            for size in [8, 300, 8192] as [UInt] {
                var objects: [UnsafeMutableRawPointer] = []
                while let object = test.kmalloc.allocate(size, flags: .kernel | .noWarn) { objects.append(object) }
                #expect(objects.count > 50)
                for object in objects { test.kmalloc.free(object) }
                test.kmalloc.shrink()
                #expect(test.freeFrames == before)
            }
            #expect(test.violations().isEmpty)
        }
    }

    @Test func noMemoryForTheQuarantine() {
        let test = TestMachine(
            startsKmalloc: false, slab: SlabOptions(slubDebug: nil) { $0.quarantineByteCount = 32 << 20 })
        test.run {
            let taken = test.exhaust()
            test.giveBack(Array(taken.prefix(200)))
            let before = test.freeFrames
            #expect(!test.startKmalloc())
            #expect(test.freeFrames == before)
        }
    }
}
