import Testing

@testable import Monitor

/// Lines that were entered before, and candidates for words.
@Suite struct HistoryTests {
    static let up = "\u{1b}[A"
    static let down = "\u{1b}[B"

    @Test func linesComeBack() {
        let typist = Typist()
        typist.type("one\ntwo\n\ntwo\nthree\ndraft")
        var seen: [String] = []
        for key in [Self.up, Self.up, Self.up, Self.up, Self.down, Self.down, Self.down, Self.down] {
            typist.type(key)
            seen.append(typist.text)
            #expect(typist.screen.line == ("quarry> " + typist.text).trimmed)
        }
        #expect(seen == ["three", "two", "one", "one", "two", "three", "draft", "draft"])
        #expect(typist.screen.bells == 2)
    }

    @Test func anOldLineThatIsEditedIsANewOne() {
        let typist = Typist()
        typist.type("first\nsecond\n")
        #expect(typist.type(Self.up + Self.up + "!\n").map(\.line) == ["first!"])
        typist.type(Self.up)
        #expect(typist.text == "first!")
        typist.type(Self.up + Self.up)
        #expect(typist.text == "first")
    }

    @Test func givingUpALineLeavesTheHistoryAsItIs() {
        let typist = Typist()
        typist.type("first\nsecond\n" + Self.up + Self.up + "\u{3}")
        typist.type(Self.up)
        #expect(typist.text == "second")
    }

    @Test(arguments: [1, 2, 7])
    func theOldestLinesGo(slots: Int) {
        let typist = Typist(capacity: 12, historyLines: slots)
        for number in 0..<20 { typist.type("line \(number)\n") }
        for age in 1...(slots + 1) {
            typist.type(Self.up)
            #expect(typist.text == "line \(20 - min(age, slots))")
        }
        #expect(typist.isWithinItsMemory)
    }

    static let commands = [
        "meminfo", "slabinfo", "slab validate kmalloc-8", "slab validate kmalloc-16", "slab validate dentry",
        "slab shrink dentry",
        "stacks", "help",
    ]

    @Test(arguments: [
        ("mem\t", "meminfo "), ("h\t", "help "), ("s\t", "s"), ("sl\t", "slab"), ("slabi\t", "slabinfo "),
        ("slab v\t", "slab validate "), ("slab validate k\t", "slab validate kmalloc-"),
        ("slab validate kmalloc-1\t", "slab validate kmalloc-16 "),
        ("  slab   validate  d\t", "  slab   validate  dentry "),
        ("x\t", "x"), ("meminfo x\t", "meminfo x"), ("\t", ""), ("stacks\t", "stacks "),
    ])
    func tabCompletes(typed: String, text: String) {
        let typist = Typist(source: WordSource(texts: Self.commands))
        typist.type(typed)
        #expect(typist.text == text)
        #expect(typist.screen.line == ("quarry> " + text).trimmed)
        #expect(typist.screen.problems == [])
    }

    @Test func tabCompletesInTheMidstOfALine() {
        let typist = Typist(source: WordSource(texts: Self.commands))
        typist.type("sla validate\u{1}\u{6}\u{6}\u{6}\t")
        #expect(typist.text == "slab validate")
        #expect(typist.cursor == 4)
    }

    @Test func tabListsWhatThereIs() {
        let typist = Typist(source: WordSource(texts: Self.commands))
        typist.type("s\t")
        #expect(typist.screen.lines == ["quarry> s", "slabinfo  slab  stacks", "quarry> s"])
        typist.type("\u{15}slab validate \t")
        #expect(typist.screen.lines.suffix(2) == ["kmalloc-8  kmalloc-16  dentry", "quarry> slab validate"])
        #expect(typist.screen.bells == 0)
        typist.type("nothing\t")
        #expect(typist.screen.bells == 1)
    }

    @Test func completionStopsWhereTheLineIsFull() {
        let typist = Typist(capacity: 5, source: WordSource(texts: Self.commands))
        typist.type("mem\t")
        #expect(typist.text == "memin")
        #expect(typist.type("\n").map(\.event) == [.tooLongLine])
    }
}
