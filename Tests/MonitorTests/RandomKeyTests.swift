import SimulatedMachine
import Testing

@testable import Monitor

/// What keys should do, told with arrays.
struct PlainEditor {
    let capacity: Int
    let historyLines: Int
    var line: [UInt8] = []
    var cursor = 0
    var isTooLong = false
    var history: [[UInt8]] = []
    var age = 0
    var draft: [UInt8] = []

    mutating func show(_ text: [UInt8]) {
        line = text
        cursor = text.count
        isTooLong = false
    }

    mutating func remove(_ range: Range<Int>) {
        line.removeSubrange(range)
        cursor = range.lowerBound
        isTooLong = false
    }

    mutating func begin() {
        show([])
        age = 0
    }

    mutating func press(_ key: Key) -> LineEditor.Event? {
        switch key {
        case .character(let byte):
            if line.count == capacity {
                isTooLong = true
            } else {
                line.insert(byte, at: cursor)
                cursor += 1
            }
        case .enter:
            if isTooLong { return .tooLongLine }
            if !line.isEmpty && history.last != line { history.append(line) }
            history = history.suffix(historyLines)
            return .line
        case .interrupt:
            show([])
            return .interrupt
        case .endOfInput where line.isEmpty && !isTooLong: return .endOfInput
        case .endOfInput, .delete: if cursor < line.count { remove(cursor..<cursor + 1) }
        case .backspace: if cursor > 0 { remove(cursor - 1..<cursor) }
        case .left: cursor = max(0, cursor - 1)
        case .right: cursor = min(line.count, cursor + 1)
        case .home: cursor = 0
        case .end: cursor = line.count
        case .killToEnd: remove(cursor..<line.count)
        case .killToStart: remove(0..<cursor)
        case .killWord:
            var start = cursor
            while start > 0, line[start - 1] == 32 { start -= 1 }
            while start > 0, line[start - 1] != 32 { start -= 1 }
            remove(start..<cursor)
        case .up:
            if age == history.count { break }
            if age == 0 { draft = line }
            age += 1
            show(history[history.count - age])
        case .down:
            if age == 0 { break }
            age -= 1
            show(age == 0 ? draft : history[history.count - age])
        case .tab, .clearScreen, .unknown: break
        }
        return nil
    }
}

@Suite struct RandomKeyTests {
    /// Each key in one of the ways that terminals send it.
    static let keys: [(Key, [String])] = [
        (.enter, ["\n", "\r"]), (.interrupt, ["\u{3}"]), (.endOfInput, ["\u{4}"]),
        (.left, ["\u{2}", "\u{1b}[D", "\u{1b}OD"]),
        (.right, ["\u{6}", "\u{1b}[C", "\u{1b}[1;5C"]), (.home, ["\u{1}", "\u{1b}[H", "\u{1b}[1~", "\u{1b}[7~"]),
        (.end, ["\u{5}", "\u{1b}[F", "\u{1b}[4~", "\u{1b}OF"]), (.up, ["\u{10}", "\u{1b}[A"]),
        (.down, ["\u{e}", "\u{1b}[B"]),
        (.backspace, ["\u{7f}", "\u{8}"]), (.delete, ["\u{1b}[3~"]), (.killToEnd, ["\u{b}"]),
        (.killToStart, ["\u{15}"]),
        (.killWord, ["\u{17}"]), (.clearScreen, ["\u{c}"]),
        (.unknown, ["\u{1c}", "\u{1b}[Z", "\u{1b}q", "\u{1b}[19~"]),
    ]

    @Test(arguments: [(3, 1), (20, 4), (100, 32), (255, 8)])
    func anyKeysDoWhatTheModelSays(capacity: Int, historyLines: Int) {
        var random = SeededGenerator.fromEnvironment(default: 0x5eed + UInt64(capacity))
        let typist = Typist(capacity: capacity, historyLines: historyLines)
        var model = PlainEditor(capacity: capacity, historyLines: historyLines)
        var lastWasReturn = false
        for step in 0..<20_000 {
            var key = Key.character(UInt8.random(in: 0x20..<0x7f, using: &random))
            var bytes: [UInt8] = []
            if Int.random(in: 0..<4, using: &random) == 0 {
                let (chosen, ways) = Self.keys.randomElement(using: &random)!
                key = chosen
                bytes = Array(ways.randomElement(using: &random)!.utf8)
            } else if case .character(let byte) = key {
                bytes = [byte]
            }
            // A line feed behind a carriage return is no key of its own.
            if lastWasReturn, bytes == [10] { continue }
            lastWasReturn = bytes == [13]
            let expected = model.press(key)
            let expectedLine = String(decoding: model.line, as: UTF8.self)
            let events = typist.type(bytes)
            #expect(events.map(\.event) == (expected.map { [$0] } ?? []), "step \(step)")
            if expected == .line { #expect(events.first?.line == expectedLine, "step \(step)") }
            if expected != nil { model.begin() }
            check(typist, model, step)
            if typist.text != String(decoding: model.line, as: UTF8.self) { return }
        }
    }

    /// The line, the cursor, and that the screen shows them.
    private func check(_ typist: Typist, _ model: PlainEditor, _ step: Int) {
        #expect(Array(typist.text.utf8) == model.line, "step \(step)")
        #expect(typist.cursor == model.cursor, "step \(step)")
        #expect(typist.isWithinItsMemory)
        #expect(typist.screen.problems == [], "step \(step)")
        // The part of the line that is shown has the character under the cursor where the cursor is.
        let shown = Array(typist.screen.line.utf8)
        let start = model.cursor - (typist.screen.column - 8)
        #expect(start >= 0 && start <= model.line.count, "step \(step)")
        guard start >= 0 && start <= model.line.count else { return }
        let expected = "quarry> " + String(decoding: model.line[start...].prefix(71), as: UTF8.self)
        #expect(String(decoding: shown, as: UTF8.self) == expected.trimmed, "step \(step)")
    }

    /// No bytes whatever lead out of the editor's memory or to a sequence that terminals do not know.
    @Test func anyBytesAreSurvived() {
        var random = SeededGenerator.fromEnvironment(default: 0xb17e)
        let typist = Typist(capacity: 60, historyLines: 3, source: WordSource(texts: HistoryTests.commands))
        for _ in 0..<50_000 { typist.type([UInt8.random(in: 0...255, using: &random)]) }
        for _ in 0..<50_000 {
            typist.type([[27, 91, 79, 59, 49, 51, 65, 68, 126, 9, 32, 115, 8].randomElement(using: &random)!])
        }
        #expect(typist.isWithinItsMemory)
        #expect(typist.screen.problems == [])
        #expect(typist.screen.rows.allSatisfy { $0.count <= ScreenModel.columns })
    }
}
