import Foundation
import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing
import Tracing

@testable import TraceReplay

@Suite struct ReplayTests {
    @Test func workIsReplayed() throws {
        var maker = TraceMaker()
        maker.addWork(3000)
        let replay = try #require(Replay(options(checkEvery: 500)))
        try replay.run(maker.trace)
        #expect(replay.statistics.done == maker.trace.steps.count)
        #expect(replay.statistics.checks == maker.trace.steps.count / 500 + 1)
        #expect(replay.statistics.peakFrames > 100)
        #expect(replay.statistics.samples.count > 300)
        #expect(replay.statistics.csv.split(separator: "\n").count == replay.statistics.samples.count + 1)
    }

    /// What is nested is not made twice, nor freed.
    @Test func nestedEventsArePassedOver() throws {
        var maker = TraceMaker()
        maker.add(.pageAllocation, 100, 1, depth: 1)
        maker.add(.kmalloc, 0x1000, 4000, 4096)
        maker.add(.kmalloc, 0x3000, 64, 64, depth: 1)
        maker.add(.kfree, 0x3000)
        maker.add(.kfree, 0x1000)
        maker.add(.pageFree, 100, 1)
        maker.add(.kfree, 0x9000)
        let replay = try #require(Replay(options()))
        try replay.run(maker.trace)
        #expect(replay.statistics[.kmalloc].done == 1 && replay.statistics[.kmalloc].passedOver == 1)
        #expect(replay.statistics[.kfree].done == 1 && replay.statistics[.kfree].passedOver == 2)
        #expect(replay.statistics[.pageAllocation].passedOver == 1 && replay.statistics[.pageFree].passedOver == 1)
    }

    /// Blocks that are freed in parts.
    @Test func partsOfBlocks() throws {
        var maker = TraceMaker()
        maker.add(.pageAllocation, 0x100, 3)
        maker.add(.pageFree, 0x104, 2)
        maker.add(.pageFree, 0x102, 1)
        maker.add(.pageFree, 0x101, 0)
        maker.add(.pageFree, 0x100, 0)
        let replay = try #require(Replay(options(checkEvery: 1)))
        try replay.run(maker.trace)
        #expect(replay.statistics[.pageFree].done == 4)
    }

    @Test func wrongFreesFail() {
        let wrong: [(String, (inout TraceMaker) -> Void)] = [
            (
                "doubleFree in kfree",
                {
                    $0.add(.kmalloc, 1, 100, 104); $0.add(.kfree, 1); $0.add(.kfree, 1)
                }
            ),
            (
                "doubleFree in __free_pages",
                {
                    $0.add(.pageAllocation, 8); $0.add(.pageFree, 8); $0.add(.pageFree, 8)
                }
            ),
            (
                "wrongOrder in __free_pages",
                {
                    $0.add(.pageAllocation, 8); $0.add(.pageFree, 8, 1)
                }
            ),
            (
                "doubleFree in vfree",
                {
                    $0.add(.vmalloc, 1, 100); $0.add(.vfree, 1); $0.add(.vfree, 1)
                }
            ),
        ]
        for (signature, make) in wrong {
            var maker = TraceMaker()
            maker.addWork(50)
            make(&maker)
            let failure = failure(of: maker.trace)
            // Which of the two it is depends on where the block lies.
            let found = failure?.signature.replacing("misalignedFree", with: "wrongOrder")
            #expect(found == signature)
            #expect(failure?.line == maker.trace.steps.last?.line)
        }
    }

    /// Behind a gap nobody knows what was freed meanwhile.
    @Test func lostEventsExcuse() {
        var maker = TraceMaker()
        maker.add(.kmalloc, 1, 100, 104)
        maker.add(.kfree, 1)
        maker.add(.kfree, 1)
        maker.trace.steps[2].followsLoss = true
        #expect(failure(of: maker.trace) == nil)
    }

    @Test func textIsReadBack() throws {
        var maker = TraceMaker()
        maker.addWork(300)
        let again = try Trace(text: maker.trace.text)
        #expect(again.steps.map(\.event) == maker.trace.steps.map(\.event))
        #expect(again.steps.first?.line == 13)
    }

    @Test func badInputIsNamed() {
        let text = "# tracer: nop\n\n          kernel-0       [000] .....     0.000001: kfree: call_site=0 ptr=xyz\n"
        #expect(throws: TraceFileError(line: 3, reason: .badField("ptr="))) { try Trace(text: Data(text.utf8)) }
        #expect(throws: TraceFileError(line: 1, reason: .noTask)) { try Trace(text: Data("GIF89a".utf8)) }
    }
}

/// The program itself, as a process.
@Suite struct ProgramTests {
    private func run(_ arguments: [String], trace: Trace) throws -> (status: Int32, output: String, errors: String) {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("trace-\(UUID().uuidString)")
        try trace.text.write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let process = Process()
        process.executableURL = program
        process.arguments = arguments + [file.path]
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        let said = output.fileHandleForReading.readDataToEndOfFile()
        let complained = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (
            process.terminationStatus, String(decoding: said, as: UTF8.self),
            String(decoding: complained, as: UTF8.self)
        )
    }

    /// Beside the tests' program.
    private var program: URL {
        let directory = Bundle.main.bundleURL
        let places = [directory, directory.deletingLastPathComponent()].map {
            $0.appendingPathComponent("quarry-replay")
        }
        return places.first { FileManager.default.isExecutableFile(atPath: $0.path) } ?? places[0]
    }

    /// An allocator that crashes takes processes along that try candidates, and not the one that shrinks.
    @Test func crashesAreShrunk() throws {
        var maker = TraceMaker()
        maker.addWork(40)
        maker.add(.kmalloc, 0x55, 555, 640)
        maker.addWork(20, base: 0xffff_9000_0000_0000)
        maker.add(.kfree, 0x55)
        let (status, output, errors) = try run(
            ["--shrink", "--memory", "32M", "--crash-at-free-of", "555"], trace: maker.trace)
        #expect(status == 1)
        #expect(errors.contains("2 do as well"), "\(errors)")
        #expect(output.contains("A trace of 2 events") && output.contains("crash"))
    }

    @Test func reports() throws {
        var maker = TraceMaker()
        maker.addWork(200)
        let (status, output, _) = try run(["--memory", "64M", "--check-every", "50"], trace: maker.trace)
        #expect(status == 0 && output.contains("no failure") && output.contains("unusable for order 3"))
        maker.add(.kmalloc, 0x77, 777, 896)
        maker.add(.kfree, 0x77)
        maker.add(.kfree, 0x77)
        let failed = try run(["--memory", "64M"], trace: maker.trace)
        #expect(failed.status == 1 && failed.output.contains("FAILED") && failed.output.contains("doubleFree"))
    }
}
