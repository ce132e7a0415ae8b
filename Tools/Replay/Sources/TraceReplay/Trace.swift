import Foundation
import MemoryPrimitives
import Tracing

/// A recorded trace: its events, in order.
public struct Trace: Sendable {
    /// An event, and the line of the file that it stood in, counted from 1.
    public struct Step: Sendable, Equatable {
        public var line: Int
        public var event: TraceEvent
        /// Events were lost before this one.
        public var followsLoss: Bool

        public init(line: Int, event: TraceEvent, followsLoss: Bool = false) {
            self.line = line
            self.event = event
            self.followsLoss = followsLoss
        }
    }

    public var steps: [Step] = []
    /// Events that the trace says were lost.
    public var lost: UInt64 = 0
    /// Lines with events that are not the allocators'.
    public var others = 0

    public init() {}

    /// - Throws: `TraceFileError` for the first line that is none of a trace.
    public init(text: Data) throws(TraceFileError) {
        var number = 0
        var lostBefore = false
        var rest = text[...]
        while !rest.isEmpty {
            number += 1
            let end = rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.endIndex
            let line = Array(rest[rest.startIndex..<end])
            rest = end < rest.endIndex ? rest[(end + 1)...] : rest[end...]
            switch try Self.parse(line, number) {
            case .comment: break
            case .other: others += 1
            case .lost(let count, _):
                lost += count
                lostBefore = true
            case .event(let event):
                steps.append(Step(line: number, event: event, followsLoss: lostBefore))
                lostBefore = false
            }
        }
    }

    private static func parse(_ line: [UInt8], _ number: Int) throws(TraceFileError) -> TraceLine {
        do throws(TraceTextError) {
            // The array outlives the call.
            return try unsafe line.withUnsafeBytes { bytes in
                Result { () throws(TraceTextError) in try unsafe TraceParser.parse(bytes) }
            }.get()
        } catch {
            throw TraceFileError(line: number, reason: error)
        }
    }

    /// The trace as text, which `init(text:)` reads back.
    public var text: Data {
        var writer = DataWriter()
        let format = TraceText(ticksPerSecond: 1_000_000)
        format.writeHeader(
            waiting: UInt64(steps.count), written: UInt64(steps.count), cpuCount: 1, to: &writer)
        for step in steps {
            if step.followsLoss { format.writeLost(1, cpu: 0, to: &writer) }
            format.write(step.event, to: &writer)
        }
        return writer.data
    }
}

/// A line that is none of a trace.
public struct TraceFileError: Error, Equatable, CustomStringConvertible {
    public let line: Int
    public let reason: TraceTextError

    public var description: String {
        switch reason {
        case .noTask: "line \(line): no event: expected `TASK-PID [CPU] flags time: event: fields`"
        case .noCPU: "line \(line): expected a CPU's number in brackets"
        case .noTime: "line \(line): expected a time, `seconds.microseconds:`"
        case .noEvent: "line \(line): expected an event's name and a colon behind the time"
        case .fieldMissing(let key): "line \(line): the event lacks `\(key)`"
        case .badField(let key): "line \(line): `\(key)` is not followed by what it should be"
        }
    }
}

/// Gathers text.
struct DataWriter: ReportWriter {
    var data = Data()

    mutating func write(_ byte: UInt8) { data.append(byte) }
}
