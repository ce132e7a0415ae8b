import SimulatedMachine
import Testing

@testable import Monitor

/// Lines that are typed, against what a plain model says of them.
@Suite struct EditorTests {
    @Test func aLineIsWhatWasTyped() {
        let typist = Typist()
        let events = typist.type("meminfo\n")
        #expect(events.map(\.event) == [.line])
        #expect(events.map(\.line) == ["meminfo"])
        #expect(typist.screen.lines == ["quarry> meminfo", "quarry>"])
    }

    @Test(arguments: [
        ("a\r", ["a"]), ("a\r\nb\n", ["a", "b"]), ("a\n\nb\r\r", ["a", "", "b", ""]), ("\r\n\r\n", ["", ""]),
    ])
    func endsOfLines(typed: String, lines: [String]) {
        #expect(Typist().type(typed).map(\.line) == lines)
    }

    @Test(arguments: [
        ("abc\u{1}X", "Xabc", 1), ("abc\u{1b}[DX", "abXc", 3), ("abc\u{1b}[D\u{1b}[D\u{1b}[CX", "abXc", 3),
        ("abc\u{1b}[HX\u{1b}[FY", "XabcY", 5), ("abc\u{1b}OHX\u{1b}OFY", "XabcY", 5),
        ("abc\u{1b}[1~X\u{1b}[4~Y", "XabcY", 5),
        ("abc\u{1}\u{1b}[3~", "bc", 0), ("abc\u{1}\u{4}", "bc", 0), ("abc\u{7f}", "ab", 2), ("abc\u{8}\u{8}", "a", 1),
        ("one two\u{17}x", "one x", 5), ("one two  \u{17}", "one ", 4), ("one two\u{1b}[D\u{17}", "one o", 4),
        ("one two\u{1}\u{6}\u{b}", "o", 1), ("one two\u{2}\u{15}", "o", 0), ("abc\u{1}\u{8}", "abc", 0),
        ("\u{b}\u{15}\u{17}", "", 0),
    ])
    func editing(typed: String, text: String, cursor: Int) {
        let typist = Typist()
        typist.type(typed)
        #expect(typist.text == text)
        #expect(typist.cursor == cursor)
        #expect(typist.screen.line == ("quarry> " + text).trimmed)
        #expect(typist.screen.column == 8 + cursor)
    }

    /// What is no known key changes nothing, and does not swallow what comes behind it.
    @Test(arguments: [
        "\u{1b}[99~", "\u{1b}[Z", "\u{1b}[1;5P", "\u{1b}OZ", "\u{1b}x", "\u{1b}[?25h", "\u{1b}[25555553~",
        "\u{1b}[3;3;3;3R",
        "\u{1b}\u{1b}[99~", "\u{1b}[ q", "\u{0}",
    ])
    func unknownSequencesAreNothing(sequence: String) {
        let typist = Typist()
        typist.type("ab" + sequence + "c")
        #expect(typist.text == "abc")
        #expect(typist.screen.problems == [])
    }

    @Test func brokenSequencesEndWithTheNextControlCharacter() {
        let typist = Typist()
        #expect(typist.type("a\u{1b}[1\nb\u{1b}\nc\u{1b}O\n").map(\.line) == ["a", "b", "c"])
        #expect(typist.type("a\u{1b}[\u{3}").map(\.event) == [.interrupt])
    }

    @Test func whatIsNoTextIsRefused() {
        let typist = Typist()
        typist.type([0x61, 0xc3, 0xa4, 0xff, 0x1c, 0x62])
        #expect(typist.text == "ab")
        #expect(typist.screen.bells == 4)
    }

    @Test func interruptAndEndOfInput() {
        let typist = Typist()
        #expect(typist.type("abc\u{3}").map(\.event) == [.interrupt])
        #expect(typist.text == "")
        #expect(typist.type("abc\u{1}\u{4}\u{4}\u{4}").map(\.event) == [])
        #expect(typist.type("\u{4}").map(\.event) == [.endOfInput])
        #expect(typist.screen.lines.first == "quarry> abc^C")
    }

    @Test func clearingTheScreenKeepsTheLine() {
        let typist = Typist()
        typist.type("abc\u{1b}[D\u{c}")
        #expect(typist.screen.clears == 1)
        #expect(typist.screen.lines == ["quarry> abc"])
        #expect(typist.screen.column == 10)
    }

    @Test(arguments: [1, 5, 40, 255])
    func aLineThatIsTooLongIsNotObeyed(capacity: Int) {
        let typist = Typist(capacity: capacity)
        let fitting = String(repeating: "x", count: capacity)
        #expect(typist.type(fitting + "\n").map(\.event) == [.line])
        #expect(typist.type(fitting + "yz\n").map(\.event) == [.tooLongLine])
        #expect(typist.screen.bells == 2)
        // One that is made shorter is.
        #expect(typist.type(fitting + "y\u{8}\n").map(\.event) == [.line])
        // And is what comes back, where it is not an empty one.
        typist.type("\u{10}")
        #expect(typist.text == String(fitting.prefix(max(1, capacity - 1))))
        #expect(typist.isWithinItsMemory)
    }

    @Test func aLongLineIsShownInPart() {
        let typist = Typist()
        let long = String((0..<200).map { Character(UnicodeScalar(UInt8(97 + $0 % 26))) })
        typist.type(long)
        #expect(typist.screen.lines.count == 1)
        #expect(typist.screen.line == "quarry> " + long.suffix(71))
        typist.type("\u{1}")
        #expect(typist.screen.line == "quarry> " + long.prefix(71))
        #expect(typist.screen.column == 8)
        #expect(typist.screen.problems == [])
    }
}

extension String {
    /// Without spaces at the end, which no screen shows.
    var trimmed: String {
        var text = self
        while text.last == " " { text.removeLast() }
        return text
    }
}
