import MemoryPrimitives

/// Draws a line behind its prompt on one line of a terminal, of which a longer line shows a part.
///
/// It writes CR, printable characters, and two of the sequences of ECMA-48: erase to the end of the line, and move
/// forward. Text that is typed at the end costs a byte each and needs neither, so that it reads well in a file, too.
struct LineView {
    private let prompt: StaticString
    /// How many characters of the line there is room for; the cursor can stand behind the last one.
    private let width: Int
    /// Which character of the line stands behind the prompt.
    private var offset = 0

    init(prompt: StaticString, columns: Int) {
        self.prompt = prompt
        width = max(columns - prompt.utf8CodeUnitCount - 1, 8)
    }

    /// Draws the prompt of a new line at the terminal's left.
    mutating func begin<Writer: ReportWriter>(to writer: inout Writer) {
        offset = 0
        writer.write(prompt)
    }

    /// Shows a character that was typed at the end of the line.
    mutating func append<Writer: ReportWriter>(_ byte: UInt8, _ line: borrowing EditedLine, to writer: inout Writer) {
        if line.count - offset <= width {
            writer.write(byte)
        } else {
            draw(line, to: &writer)
        }
    }

    /// Draws all of it again.
    mutating func draw<Writer: ReportWriter>(_ line: borrowing EditedLine, to writer: inout Writer) {
        if line.cursor < offset { offset = line.cursor }
        if line.cursor > offset + width { offset = line.cursor - width }
        // No emptier than it must be.
        if line.count - offset < width { offset = max(0, line.count - width) }
        writer.write(UInt8(ascii: "\r"))
        writer.write(prompt)
        let text = line.text
        let end = min(text.count, offset + width)
        for index in offset..<end { writer.write(text[index]) }
        writer.write("\u{1b}[K")
        if line.cursor == end { return }
        writer.write(UInt8(ascii: "\r"))
        writer.write("\u{1b}[")
        writer.write(decimal: UInt(prompt.utf8CodeUnitCount + line.cursor - offset))
        writer.write("C")
    }

    /// Clears the terminal, and draws the line at its top.
    mutating func drawOnClearScreen<Writer: ReportWriter>(
        _ line: borrowing EditedLine, to writer: inout Writer
    ) {
        writer.write("\u{1b}[H\u{1b}[2J")
        draw(line, to: &writer)
    }
}
