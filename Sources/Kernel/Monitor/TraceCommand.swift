import KernelMemory
import MemoryPrimitives
import Monitor
import Tracing

/// `trace`: calls on the allocators, noted down as they are made.
enum TraceCommand: UInt8, CommandGroup {
    case trace

    var help: CommandHelp {
        CommandHelp(
            name: "trace",
            summary: "trace calls on the allocators, show them as ftrace; alone: state",
            arguments: "[on [EVENT ...]|off|show]", example: "trace on kmalloc kfree")
    }

    func candidate(_ index: Int, behind words: LineWords) -> LineText? {
        if words.count == 1 { return TraceWord.candidate(index) }
        guard words[1].flatMap({ TraceWord($0) }) == .on else { return nil }
        return UInt8(exactly: index).flatMap { TraceKind(rawValue: $0) }.map { LineText($0.name) }
    }

    func run(_ call: CommandCall) throws(CommandError) {
        guard let text = call[1] else { return Self.describe() }
        guard let word = TraceWord(text) else { throw CommandError(expected: "on, off or show", found: text) }
        switch word {
        case .on: try Self.turnOn(call)
        case .off:
            try call.expectNoMore(than: 1)
            Tracer.turnOn(call.memory, TraceSelection(rawValue: 0))
            Self.describe()
        case .show:
            try call.expectNoMore(than: 1)
            Tracer.writeReport()
        }
    }

    private static func turnOn(_ call: CommandCall) throws(CommandError) {
        var selection = TraceSelection(rawValue: 0)
        var index = 2
        while let word = call[index] {
            guard let kind = kind(word) else { throw CommandError(expected: "events such as kmalloc", found: word) }
            selection.formUnion(TraceSelection(kind))
            index += 1
        }
        guard Tracer.prepare(call.memory, byteCount: TraceParameters().byteCount) else {
            return MonitorOutput.line("trace: no memory for the events")
        }
        Tracer.turnOn(call.memory, selection.rawValue == 0 ? .all : selection)
        describe()
    }

    private static func kind(_ word: LineText) -> TraceKind? {
        var value: UInt8 = 0
        while let kind = TraceKind(rawValue: value) {
            if word == kind.name { return kind }
            value += 1
        }
        return nil
    }

    private static func describe() {
        let counts = Tracer.counts
        let state: StaticString = Tracer.selection.rawValue == 0 ? "off" : "on"
        MonitorOutput.line(
            """
            trace: \(state), \(counts.written) events written, \
            \(counts.waiting) to show, \(counts.overwritten) overwritten, \(counts.dropped) dropped
            """)
    }
}

/// What `trace` can do.
enum TraceWord: UInt8, WordChoice {
    case on
    case off
    case show

    var word: StaticString {
        switch self {
        case .on: "on"
        case .off: "off"
        case .show: "show"
        }
    }
}
