import Foundation
import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing
import Tracing

@testable import TraceReplay

/// The tests that are printed are compiled with these, and run.
///
/// `Shrunk/` holds what is printed for two traces, with another name and without `@Test`, since one of them is red.
/// `UPDATE_SHRUNK=1 swift test --package-path Tools/Replay` writes the files anew.
@Suite struct PrintedTestTests {
    /// Each kind of event once, and something of each that is never freed.
    private static var healthy: TraceMaker {
        var maker = TraceMaker()
        maker.add(.kmalloc, 0x1000, 100, 104)
        maker.add(.kmalloc, 0x2000, 30_000, 32_768)
        maker.add(.cacheAllocation, 0x3000, 120, 128)
        maker.add(.cacheAllocation, 0x3100, 120, 128)
        maker.add(.pageAllocation, 0x10, 3)
        maker.add(.pageAllocation, 0x20, 0)
        maker.add(.vmalloc, 0xffff_c900_0000_0000, 50_000)
        maker.add(.vmalloc, 0xffff_c900_0010_0000, 4096)
        maker.add(.map, 0xffff_c900_0020_0000, 3 << 12, 0x5000)
        maker.trace.steps[8].event.name = TraceName("vmap")
        maker.add(.map, 0xffff_c900_0030_0000, 4096, 0xfee0_0000)
        maker.trace.steps[9].event.name = TraceName("ioremap")
        maker.add(.unmap, 0xffff_c900_0020_0000)
        maker.trace.steps[10].event.name = TraceName("vunmap")
        maker.add(.unmap, 0xffff_c900_0030_0000)
        maker.trace.steps[11].event.name = TraceName("iounmap")
        maker.add(.vfree, 0xffff_c900_0000_0000)
        maker.add(.pageFree, 0x14, 2)
        maker.add(.pageFree, 0x10, 0)
        maker.add(.cacheFree, 0x3000)
        maker.add(.kfree, 0x1000)
        maker.add(.kmalloc, 0x1000, 64, 64)
        return maker
    }

    /// A double free that was shrunk.
    private static func shrunkDoubleFree() throws -> (Trace, ReplayFailure) {
        var maker = TraceMaker()
        maker.addWork(100)
        maker.add(.kmalloc, 0x77, 777, 896)
        maker.addWork(20, base: 0xffff_9000_0000_0000)
        maker.add(.kfree, 0x77)
        maker.add(.kfree, 0x77)
        let found = try #require(failure(of: maker.trace))
        var shrinker = TraceShrinker(signature: found.signature) { failure(of: $0) }
        return (try shrinker.shrink(maker.trace, found), found)
    }

    /// Compares what is printed with the file that was compiled.
    private func expect(_ trace: Trace, _ failure: ReplayFailure, isIn name: String) throws {
        var failure = failure
        // The address of the object.
        failure.detail = failure.signature
        var printer = TestPrinter(trace, failure, memory: 64 << 20)
        let printed = printer.print()
        #expect(printed.contains("@Suite struct ShrunkTraceTests {\n    @Test func trace() throws {"))
        let compiled =
            printed
            .replacing("@Suite struct ShrunkTraceTests", with: "struct \(name)")
            .replacing("@Test func trace", with: "func trace")
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Shrunk/\(name).swift")
        if ProcessInfo.processInfo.environment["UPDATE_SHRUNK"] != nil {
            try Data(compiled.utf8).write(to: file)
        }
        let found = try String(decoding: Data(contentsOf: file), as: UTF8.self)
        #expect(found == compiled)
    }

    @Test func aFailingTraceIsARedTest() throws {
        let (trace, failure) = try Self.shrunkDoubleFree()
        try expect(trace, failure, isIn: "DoubleFreeTrace")
        try withKnownIssue {
            try DoubleFreeTrace().trace()
        } matching: { issue in
            "\(issue)".contains("doubleFree in kfree")
        }
    }

    @Test func aHealthyTraceIsAGreenTest() throws {
        let trace = Self.healthy.trace
        #expect(failure(of: trace) == nil)
        let none = ReplayFailure(signature: "nothing", detail: "", step: 0, line: 0)
        try expect(trace, none, isIn: "HealthyTrace")
        try HealthyTrace().trace()
    }
}
