import Foundation
import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing
import Tracing

@testable import TraceReplay

/// Traces that no kernel has written: they are refused with a line, or replayed as far as they go, and crash nothing.
@Suite struct HostileTraceTests {
    private static let numbers: [UInt] = [
        0, 1, 2, 7, 8, 10, 11, 63, 64, 4095, 4096, 4097, 1 << 20, 1 << 52, UInt.max / 2, ~4095, ~1,
        UInt.max,
    ]

    /// Events of every kind with numbers from the ends of their ranges.
    @Test func numbersOfAllSizes() throws {
        var generator = SeededGenerator.fromEnvironment(default: 23)
        func any() -> UInt { Self.numbers[Int(generator.next() % UInt64(Self.numbers.count))] }
        for _ in 0..<4 {
            var maker = TraceMaker()
            maker.addWork(20)
            for _ in 0..<150 {
                let kind = TraceKind(rawValue: UInt8(generator.next() % UInt64(TraceKind.count)))!
                maker.add(kind, any(), any(), any(), depth: UInt8(generator.next() % 8 == 0 ? 1 : 0))
                let step = maker.trace.steps.count - 1
                maker.trace.steps[step].event.flags = UInt32(truncatingIfNeeded: any()) & 0xfff
                switch generator.next() % 5 {
                case 0: maker.trace.steps[step].event.name = TraceName("tables")
                case 1: maker.trace.steps[step].event.name = TraceName("ioremap")
                case 2: maker.trace.steps[step].event.name = TraceName("populated")
                default: break
                }
            }
            var options = options()
            options.keepsGoing = true
            let replay = try #require(Replay(options))
            try replay.run(maker.trace)
            var printer = TestPrinter(
                maker.trace, ReplayFailure(signature: "", detail: "", step: 0, line: 0), memory: 64 << 20)
            #expect(printer.print().contains("func trace()"))
        }
    }

    /// A trace with bytes changed, lines cut and lines doubled.
    @Test func damagedText() throws {
        var maker = TraceMaker()
        maker.addWork(60)
        let whole = Array(maker.trace.text)
        var generator = SeededGenerator.fromEnvironment(default: 29)
        var read = 0
        for _ in 0..<100 {
            var text = whole
            for _ in 0...generator.next() % 3 {
                let place = Int(generator.next() % UInt64(text.count))
                switch generator.next() % 4 {
                case 0: text[place] = UInt8(truncatingIfNeeded: generator.next())
                case 1: text.removeSubrange(place..<min(text.count, place + Int(generator.next() % 40)))
                case 2: text.insert(contentsOf: Array("99999999999999999999".utf8), at: place)
                default: text.insert(contentsOf: text[place..<min(text.count, place + 100)], at: place)
                }
            }
            do throws(TraceFileError) {
                let trace = try Trace(text: Data(text))
                read += 1
                _ = failure(of: trace)
            } catch {
                #expect(error.line > 0 && error.description.contains("line"))
            }
        }
        #expect(read > 2)
    }

    @Test func endsOfLinesAndOtherEvents() throws {
        let lines = [
            "# tracer: nop", "", "   sshd-12  [003] d..1.  12.000001: sched_switch: prev_comm=a ==> next_comm=b",
            " kernel-0  [000] .....  12.000002: kfree: call_site=f+0x1/0x2 ptr=ffff888000001000",
            "CPU:1 [LOST 3 EVENTS]",
            " kernel-0  [001] .....  12.000003: kmalloc: call_site=0x12 ptr=ffff888000002000 bytes_req=8 bytes_alloc=8 gfp_flags=GFP_KERNEL",
        ]
        for end in ["\n", "\r\n"] {
            for last in ["", end] {
                let trace = try Trace(text: Data((lines.joined(separator: end) + last).utf8))
                #expect(trace.steps.map(\.event.kind) == [.kfree, .kmalloc] && trace.steps.map(\.line) == [4, 6])
                #expect(trace.lost == 3 && trace.others == 1 && trace.steps[1].followsLoss)
                // The first is of what was allocated before the trace began.
                let replay = try #require(Replay(options()))
                try replay.run(trace)
                #expect(replay.statistics[.kfree].passedOver == 1 && replay.statistics[.kmalloc].done == 1)
            }
        }
        #expect(try Trace(text: Data()).steps.isEmpty)
        #expect(failure(of: try Trace(text: Data())) == nil)
    }
}
