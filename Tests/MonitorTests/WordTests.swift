import Testing

@testable import Monitor

/// Words of a line, and what they mean as numbers.
@Suite struct WordTests {
    func with<Result>(_ text: String, _ body: (LineText) throws -> Result) rethrows -> Result {
        let bytes = Array(text.utf8)
        return try bytes.withUnsafeBytes { try body(unsafe LineText($0)) }
    }

    @Test(arguments: [
        "", " ", "a", " a ", "a b", "alloc  page\tp1 3 ", "\t\t", "a b c d e f g h i j k l m n o p q r s t",
    ])
    func wordsAreWhatStandsBetweenSpaces(line: String) {
        let expected = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
        with(line) { text in
            let words = LineWords(text)
            #expect(words.count == expected.count)
            #expect((0..<expected.count).map { string(words[$0]!) } == expected)
            #expect(words[expected.count] == nil)
            #expect(words.text(from: expected.count) == nil)
            if let last = expected.last {
                #expect(string(words.text(from: expected.count - 1)!) == last)
                #expect(
                    string(words.text(from: 0)!) == line.drop(while: { $0 == " " || $0 == "\t" }).description.trimmed)
            }
        }
    }

    @Test(
        arguments: [
            ("0", 0), ("17", 17), ("0x1f", 31), ("0XfF", 255), ("18446744073709551615", UInt.max),
            ("0xffffffffffffffff", UInt.max), ("18446744073709551616", nil), ("0x10000000000000000", nil), ("", nil),
            ("0x", nil),
            ("12a", nil), ("-1", nil), ("+1", nil), (" 1", nil), ("1K", nil), ("x", nil), ("0x1g", nil),
        ] as [(String, UInt?)])
    func numbers(text: String, number: UInt?) { with(text) { #expect($0.number == number) } }

    @Test(
        arguments: [
            ("4096", 4096), ("4K", 4096), ("4k", 4096), ("2M", 2 << 20), ("1g", 1 << 30), ("0x10K", 16384),
            ("16E", nil), ("15E", 15 << 60),
            ("K", nil), ("1KB", nil), ("1 K", nil), ("", nil),
        ] as [(String, UInt?)])
    func sizes(text: String, size: UInt?) { with(text) { #expect($0.size == size) } }

    @Test func textsCompare() {
        with("slab") { slab in
            #expect(slab == "slab")
            #expect(!(slab == "slabs"))
            #expect(!(slab == "sla"))
            #expect(slab.hasPrefix(LineText("sl")))
            #expect(slab.hasPrefix(LineText("")))
            #expect(!slab.hasPrefix(LineText("slabs")))
            #expect(slab.contains(LineText("la")) && slab.contains(LineText("slab")) && slab.contains(LineText("")))
            #expect(!slab.contains(LineText("lb")) && !slab.contains(LineText("slabs")))
            #expect(slab.commonPrefix(with: LineText("sling")) == 2)
        }
    }
}
