/// The words of a typed line: what stands between its spaces.
///
/// Nothing is stored but the line: a word is looked for from the line's beginning on, which is short.
public struct LineWords: Sendable {
    /// The whole line.
    public let text: LineText

    /// The words of `text`.
    public init(_ text: LineText) { self.text = text }

    /// How many there are.
    public var count: Int {
        var count = 0
        var position = 0
        while let word = bounds(from: position) {
            count += 1
            position = word.end
        }
        return count
    }

    /// The word at `index`, counted from 0; nil where there are not so many.
    public subscript(index: Int) -> LineText? {
        var position = 0
        var rest = index
        while let word = bounds(from: position) {
            if rest == 0 { return text.part(from: word.start, to: word.end) }
            rest -= 1
            position = word.end
        }
        return nil
    }

    /// All from the word at `index` on up to the end of the last one, as it was typed; nil where there are not so many.
    public func text(from index: Int) -> LineText? {
        var first: Int?
        var position = 0
        var rest = index
        while let word = bounds(from: position) {
            if rest == 0 { first = word.start }
            rest -= 1
            position = word.end
        }
        guard let first else { return nil }
        return text.part(from: first, to: position)
    }

    /// Where the next word at or behind `position` begins and ends.
    private func bounds(from position: Int) -> (start: Int, end: Int)? {
        var start = position
        while start < text.count, Self.isSpace(text[start]) { start += 1 }
        if start == text.count { return nil }
        var end = start
        while end < text.count, !Self.isSpace(text[end]) { end += 1 }
        return (start, end)
    }

    static func isSpace(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
}
