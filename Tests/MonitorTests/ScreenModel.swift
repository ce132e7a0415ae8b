import MemoryPrimitives

@testable import Monitor

/// A terminal of 80 columns that knows what ECMA-48 says of the few sequences that the editor may use, and stops the test
/// at any other.
struct ScreenModel: ReportWriter {
    static let columns = 80

    private(set) var rows: [[UInt8]] = [[]]
    private(set) var column = 0
    private(set) var bells = 0
    private(set) var clears = 0
    private(set) var problems: [String] = []
    private var sequence: [UInt8]?

    /// The row that the cursor is in, without spaces at its end.
    var line: String { Self.text(rows[rows.count - 1]) }

    /// All rows, the cursor's last.
    var lines: [String] { rows.map(Self.text) }

    private static func text(_ row: [UInt8]) -> String {
        var row = row
        while row.last == 0x20 { row.removeLast() }
        return String(decoding: row, as: UTF8.self)
    }

    mutating func write(_ byte: UInt8) {
        if sequence != nil { return continueSequence(byte) }
        switch byte {
        case 7: bells += 1
        case 10:
            rows.append([])
            column = 0
        case 13: column = 0
        case 27: sequence = []
        case 0x20..<0x7f: put(byte)
        default: problems.append("the byte \(byte)")
        }
    }

    mutating func write(returnAddress address: UInt) { problems.append("a return address") }

    private mutating func put(_ byte: UInt8) {
        if column >= Self.columns { problems.append("a character behind the last column") }
        while rows[rows.count - 1].count <= column { rows[rows.count - 1].append(0x20) }
        rows[rows.count - 1][column] = byte
        column += 1
    }

    private mutating func continueSequence(_ byte: UInt8) {
        sequence!.append(byte)
        guard sequence!.count > 1, byte >= 0x40 else { return }
        let text = String(decoding: sequence!, as: UTF8.self)
        sequence = nil
        switch byte {
        case UInt8(ascii: "K") where text == "[K":
            rows[rows.count - 1].removeSubrange(min(column, rows[rows.count - 1].count)...)
        case UInt8(ascii: "C"):
            guard let count = Int(text.dropFirst().dropLast()), count > 0 else { return problems.append(text) }
            column += count
            if column >= Self.columns { problems.append("the cursor behind the last column") }
        case UInt8(ascii: "H") where text == "[H": column = 0
        case UInt8(ascii: "J") where text == "[2J":
            rows = [[]]
            clears += 1
        default: problems.append(text)
        }
    }
}

/// An editor with memory of its own and a screen, for tests that type.
final class Typist {
    static let prompt: StaticString = "quarry> "

    private let lineMemory: UnsafeMutableBufferPointer<UInt8>
    private let historyMemory: UnsafeMutableBufferPointer<UInt8>
    private var editor: LineEditor
    private(set) var screen = ScreenModel()
    let source: WordSource

    init(capacity: Int = 255, historyLines: Int = 32, source: WordSource = WordSource(texts: [])) {
        // A guard byte behind each: nothing is written there.
        lineMemory = .allocate(capacity: capacity + 1)
        historyMemory = .allocate(capacity: (historyLines + 1) * (capacity + 1) + 1)
        lineMemory.initialize(repeating: 0xee)
        historyMemory.initialize(repeating: 0xee)
        editor = unsafe LineEditor(
            lineMemory: UnsafeMutableBufferPointer(rebasing: lineMemory[..<capacity]),
            historyMemory: UnsafeMutableBufferPointer(rebasing: historyMemory[..<(historyMemory.count - 1)]),
            prompt: Self.prompt)
        self.source = source
        editor.begin(to: &screen)
    }

    deinit {
        lineMemory.deallocate()
        historyMemory.deallocate()
    }

    var isWithinItsMemory: Bool { lineMemory.last == 0xee && historyMemory.last == 0xee }
    var text: String { string(editor.text) }
    var cursor: Int { editor.cursor }

    /// Types bytes; after an event a new line is begun, as the monitor does. Returns the events with their lines.
    @discardableResult
    func type(_ bytes: [UInt8]) -> [(event: LineEditor.Event, line: String)] {
        var events: [(LineEditor.Event, String)] = []
        for byte in bytes {
            if let event = editor.handle(byte, completingFrom: source, to: &screen) {
                events.append((event, text))
                editor.begin(to: &screen)
            }
        }
        return events
    }

    @discardableResult
    func type(_ text: String) -> [(event: LineEditor.Event, line: String)] { type(Array(text.utf8)) }
}

func string(_ text: LineText) -> String { String(decoding: (0..<text.count).map { text[$0] }, as: UTF8.self) }

/// Completion from lines of words: what may follow the same words before it.
final class WordSource: CompletionSource {
    private let lines: [[UnsafeMutableRawBufferPointer]]
    private let texts: [String]

    init(texts: [String]) {
        self.texts = texts
        lines = texts.map { line in
            line.split(separator: " ").map { word in
                let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: word.utf8.count, alignment: 1)
                bytes.copyBytes(from: word.utf8)
                return bytes
            }
        }
    }

    deinit { for line in lines { for word in line { word.deallocate() } } }

    /// The words that may follow, in order, each once.
    func words(behind words: [String]) -> [String] {
        var found: [String] = []
        for line in texts.map({ $0.split(separator: " ").map(String.init) })
        where line.count > words.count && Array(line[..<words.count]) == words && !found.contains(line[words.count]) {
            found.append(line[words.count])
        }
        return found
    }

    func candidate(_ index: Int, behind words: LineWords) -> LineText? {
        let before = (0..<words.count).map { string(words[$0]!) }
        let candidates = self.words(behind: before)
        guard candidates.indices.contains(index) else { return nil }
        let name = candidates[index]
        for line in lines where line.count > before.count {
            let bytes = UnsafeRawBufferPointer(line[before.count])
            if String(decoding: bytes, as: UTF8.self) == name { return unsafe LineText(bytes) }
        }
        return nil
    }
}
