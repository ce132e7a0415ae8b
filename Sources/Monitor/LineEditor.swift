import MemoryPrimitives

/// Reads lines from a terminal's bytes: editing, history, completion.
///
///     begin --bytes--> ... --.line--> the line is read, begin again
///
/// It allocates nothing, and knows no device: bytes come from its caller, and what is to be seen goes to a
/// `ReportWriter`.
public struct LineEditor: ~Copyable {
    /// What a byte has completed.
    public enum Event: Equatable, Sendable {
        /// A line, which `text` holds.
        case line
        /// A line that was longer than there is room for, and is not to be obeyed.
        case tooLongLine
        /// Ctrl-C: the line is given up.
        case interrupt
        /// Ctrl-D on an empty line.
        case endOfInput
    }

    private var keys = KeyDecoder()
    private var line: EditedLine
    private var history: LineHistory
    private var view: LineView

    /// - Parameters:
    ///   - lineMemory: where the line is, which can have as many bytes, at most 255; the editor's alone.
    ///   - historyMemory: where lines are kept that were entered, each with one byte more than `lineMemory` has; room for two
    ///     at least; the editor's alone.
    ///   - prompt: what stands before the line.
    ///   - columns: how wide the terminal is.
    @unsafe
    public init(
        lineMemory: UnsafeMutableBufferPointer<UInt8>, historyMemory: UnsafeMutableBufferPointer<UInt8>,
        prompt: StaticString, columns: Int = 80
    ) {
        line = unsafe EditedLine(lineMemory)
        history = unsafe LineHistory(historyMemory, lineCapacity: line.capacity)
        view = LineView(prompt: prompt, columns: columns)
    }

    /// The line as it stands; valid until the next byte.
    public var text: LineText { line.text }

    /// How many bytes a line can have.
    public var capacity: Int { line.capacity }

    /// Where the cursor stands in the line.
    var cursor: Int { line.cursor }

    /// Begins a new line and draws its prompt.
    public mutating func begin<Writer: ReportWriter>(to writer: inout Writer) {
        line.clear()
        history.leave()
        view.begin(to: &writer)
    }

    /// Takes a byte that the terminal sent. - Returns: what it has completed; nil where the line goes on.
    ///
    /// - Complexity: O(length of the line), and for a tab O(candidates).
    public mutating func handle<Writer: ReportWriter, Source: CompletionSource>(
        _ byte: UInt8, completingFrom source: borrowing Source, to writer: inout Writer
    ) -> Event? {
        guard let key = keys.decode(byte) else { return nil }
        switch key {
        case .enter:
            writer.endLine()
            if line.isTooLong { return .tooLongLine }
            history.add(line.text)
            return .line
        case .interrupt:
            writer.write("^C")
            writer.endLine()
            line.clear()
            return .interrupt
        case .endOfInput where line.count == 0 && !line.isTooLong:
            writer.endLine()
            return .endOfInput
        case .tab: complete(from: source, to: &writer)
        default: edit(key, to: &writer)
        }
        return nil
    }

    private mutating func edit<Writer: ReportWriter>(_ key: Key, to writer: inout Writer) {
        switch key {
        case .character(let byte): return type(byte, to: &writer)
        case .left: line.moveLeft()
        case .right: line.moveRight()
        case .home: line.moveHome()
        case .end: line.moveToEnd()
        case .backspace: line.deleteBackward()
        case .delete, .endOfInput: line.deleteForward()
        case .killToEnd: line.deleteToEnd()
        case .killToStart: line.deleteToStart()
        case .killWord: line.deleteWord()
        case .up:
            guard let older = history.older(than: line.text) else { return Self.beep(to: &writer) }
            line.replace(with: older)
        case .down:
            guard let newer = history.newer() else { return Self.beep(to: &writer) }
            line.replace(with: newer)
        case .clearScreen: return view.drawOnClearScreen(line, to: &writer)
        default: return Self.beep(to: &writer)
        }
        view.draw(line, to: &writer)
    }

    private mutating func type<Writer: ReportWriter>(_ byte: UInt8, to writer: inout Writer) {
        let isAtEnd = line.cursor == line.count
        guard line.insert(byte) else { return Self.beep(to: &writer) }
        if isAtEnd { view.append(byte, line, to: &writer) } else { view.draw(line, to: &writer) }
    }

    /// The tab key: completes the word before the cursor as far as the candidates agree, or lists them.
    private mutating func complete<Writer: ReportWriter, Source: CompletionSource>(
        from source: borrowing Source, to writer: inout Writer
    ) {
        let typed = line.text
        var start = line.cursor
        while start > 0, !LineWords.isSpace(typed[start - 1]) { start -= 1 }
        let beginning = typed.part(from: start, to: line.cursor)
        let words = LineWords(typed.part(from: 0, to: start))
        let found = Completion(of: beginning, behind: words, from: source)
        guard let first = found.first else { return Self.beep(to: &writer) }
        let isOnly = found.count == 1
        if found.commonLength == beginning.count && !isOnly {
            list(beginning, words, from: source, to: &writer)
            return
        }
        // The candidates' bytes are not the line's, which changes now.
        for index in beginning.count..<found.commonLength { type(first[index], to: &writer) }
        if isOnly { type(UInt8(ascii: " "), to: &writer) }
    }

    private mutating func list<Writer: ReportWriter, Source: CompletionSource>(
        _ beginning: LineText, _ words: LineWords, from source: borrowing Source, to writer: inout Writer
    ) {
        writer.endLine()
        var index = 0
        while let candidate = source.candidate(index, behind: words) {
            index += 1
            if !candidate.hasPrefix(beginning) { continue }
            for position in 0..<candidate.count { writer.write(candidate[position]) }
            writer.write("  ")
        }
        writer.endLine()
        view.draw(line, to: &writer)
    }

    private static func beep<Writer: ReportWriter>(to writer: inout Writer) { writer.write(7) }
}
