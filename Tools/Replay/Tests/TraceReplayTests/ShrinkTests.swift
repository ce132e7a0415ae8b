import Foundation
import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import TraceReplay

@Suite struct ShrinkTests {
    /// A double free among thousands of events: the allocation and both frees are left.
    @Test func doubleFree() throws {
        var maker = TraceMaker()
        maker.addWork(2000)
        maker.add(.kmalloc, 0x77, 777, 896)
        maker.addWork(1000, base: 0xffff_9000_0000_0000)
        maker.add(.kfree, 0x77)
        maker.addWork(1000, base: 0xffff_a000_0000_0000)
        maker.add(.kfree, 0x77)
        maker.addWork(500, base: 0xffff_b000_0000_0000)
        let found = try #require(failure(of: maker.trace))
        var shrinker = TraceShrinker(signature: found.signature) { failure(of: $0) }
        let small = try shrinker.shrink(maker.trace, found)
        #expect(small.steps.map(\.event.kind) == [.kmalloc, .kfree, .kfree])
        #expect(small.steps[0].event.size == 8)
        var printer = TestPrinter(small, found, memory: 64 << 20)
        let test = printer.print()
        #expect(
            test.contains("let object1 = unsafe kmalloc.value.allocate(8)")
                || test.contains("let object1 = kmalloc.value.allocate(8)"))
        #expect(test.components(separatedBy: "kmalloc.value.free(object1)").count == 3)
    }

    /// Only together do they fail: each pair of what matters is kept.
    @Test func whatDependsOnSeveralEvents() throws {
        var maker = TraceMaker()
        maker.addWork(1500)
        let needed: [UInt] = [3, 700, 1100, 1499]
        let marks = needed.map { maker.trace.steps[Int($0)].event.time }
        let attempt: (Trace) -> ReplayFailure? = { trace in
            let times = Set(trace.steps.map(\.event.time))
            if !marks.allSatisfy(times.contains) { return nil }
            return ReplayFailure(signature: "planted", detail: "", step: trace.steps.count - 1, line: 0)
        }
        let found = try #require(attempt(maker.trace))
        var shrinker = TraceShrinker(signature: "planted", attempt: attempt)
        let small = try shrinker.shrink(maker.trace, found)
        #expect(small.steps.map(\.event.time) == marks)
        #expect(shrinker.attempts < 400)
    }

    /// A failure that does not come again is no failure to shrink.
    @Test(arguments: [0, 1, 2]) func whatFailsNowAndThen(_ times: Int) throws {
        var maker = TraceMaker()
        maker.addWork(200)
        var left = times
        var shrinker = TraceShrinker(signature: "flaky") { trace in
            left -= 1
            return left < 0 ? nil : ReplayFailure(signature: "flaky", detail: "", step: trace.steps.count - 1, line: 0)
        }
        let found = ReplayFailure(signature: "flaky", detail: "", step: maker.trace.steps.count - 1, line: 0)
        let error = #expect(throws: ShrinkError.self) { try shrinker.shrink(maker.trace, found) }
        #expect(try #require(error).description.contains("do not fail so when they are replayed again"))
    }
}
