import BootMemory
import Testing

/// Words, keys and values.
@Suite struct CommandLineTests {
    /// Runs `body` with the line, which holds only for that long.
    func with<Result>(
        _ text: String, dropsFirstWord: Bool = false, _ body: (CommandLine) throws -> Result
    ) rethrows -> Result {
        var bytes = Array(text.utf8)
        return try bytes.withUnsafeMutableBytes {
            try body(unsafe CommandLine(UnsafeRawBufferPointer($0), dropsFirstWord: dropsFirstWord))
        }
    }

    func text(_ bytes: UnsafeRawBufferPointer?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

    func words(_ line: String, dropsFirstWord: Bool = false) -> [String] {
        with(line, dropsFirstWord: dropsFirstWord) { $0.words.map { text($0.bytes)! } }
    }

    @Test func wordsAreSeparatedBySpaces() {
        #expect(words("mem=64M  quiet\tloglevel=3\n") == ["mem=64M", "quiet", "loglevel=3"])
        #expect(words("") == [])
        #expect(words(" \t ") == [])
        #expect(words("a\0b c") == ["a"])
        #expect(words("title=\"two words\" \"x=1 2\" y") == ["title=\"two words\"", "\"x=1 2\"", "y"])
        #expect(words("open=\"to the end") == ["open=\"to the end"])
        #expect(CommandLine().words.map { _ in 1 } == [])
    }

    @Test func theFileNameIsDropped() {
        #expect(words("build/quarry.elf mem=64M", dropsFirstWord: true) == ["mem=64M"])
        #expect(words("build/quarry.elf", dropsFirstWord: true) == [])
        #expect(words("", dropsFirstWord: true) == [])
    }

    @Test(arguments: [
        ("key", "key", nil), ("key=", "key", ""), ("key=value", "key", "value"), ("key=a=b", "key", "a=b"),
        ("=value", "", "value"), ("key=\"a b\"", "key", "a b"), ("\"key=a b\"", "key", "a b"), ("key=\"", "key", ""),
        ("\"", "", nil),
    ])
    func keysAndValues(line: String, key: String, value: String?) {
        with(line) { commandLine in
            let word = commandLine.words.map { $0 }.first
            #expect(text(word?.key) == key)
            #expect(text(word?.value ?? nil) == value)
        }
    }

    @Test func theLastWordHolds() throws {
        try with("mem=1G page-owner mem=2G memory=3 me=4") { (line) throws in
            #expect(try line.size("mem") == 2 << 30)
            #expect(line.contains("page_owner"))
            #expect(line.contains("page-owner"))
            #expect(!line.contains("page"))
            #expect(try line.size("nothing") == nil)
        }
    }

    @Test(
        arguments: [
            ("0", 0), ("4096", 4096), ("0x10", 16), ("0XfF", 255), ("1k", 1024), ("64K", 64 << 10), ("3M", 3 << 20),
            ("5g", 5 << 30), ("0x2G", 2 << 30), ("16T", 16 << 40), ("1P", 1 << 50), ("15E", 15 << 60), ("010", 10),
            ("18446744073709551615", .max), ("0xffffffffffffffff", .max),
        ] as [(String, UInt)])
    func sizes(value: String, expected: UInt) throws {
        try with("mem=\(value)") { (line) throws in #expect(try line.size("mem") == expected) }
    }

    @Test(arguments: [
        "", "K", "x", "0x", "-1", "+1", "1.5M", "64MB", "64M ", "64 M", "16E", "18446744073709551616",
        "0x10000000000000000", "99999999999999999999999999", "1KK", "0xg", "１",
    ])
    func valuesThatAreNoSizes(value: String) throws {
        try with("mem=\"\(value)\" other") { (line) throws in
            let error = try #require(throws: CommandLineError.self) { try line.size("mem") }
            #expect(error.kind == .notASize)
            #expect(text(error.word.bytes) == "mem=\"\(value)\"")
        }
    }

    @Test func numbersHaveNoUnit() throws {
        try with("loglevel=7 memtest=1K crash") { (line) throws in
            #expect(try line.number("loglevel") == 7)
            #expect(throws: CommandLineError.self) { try line.number("memtest") }
            let number = try #require(throws: CommandLineError.self) { try line.number("crash") }
            let size = try #require(throws: CommandLineError.self) { try line.size("crash") }
            #expect(number.kind == .valueMissing)
            #expect(size.kind == .valueMissing)
        }
    }

    @Test func flags() throws {
        try with("a b=1 c=on d=y e=yes f=0 g=off h=n i=no j=maybe k=") { (line) throws in
            for key in ["a", "b", "c", "d", "e"] as [StaticString] { #expect(try line.flag(key) == true) }
            for key in ["f", "g", "h", "i"] as [StaticString] { #expect(try line.flag(key) == false) }
            for key in ["j", "k"] as [StaticString] {
                #expect(throws: CommandLineError.self) { try line.flag(key) }
            }
            #expect(try line.flag("l") == nil)
        }
    }

    @Test(
        arguments: [
            ("report=iomem", ["iomem"]), ("report=iomem,zones", ["iomem", "zones"]),
            ("report=a,,b,", ["a", "", "b", ""]),
            ("report=", [""]), ("report", []), ("report=\"a b,c\"", ["a b", "c"]),
        ] as [(String, [String])])
    func items(line: String, expected: [String]) {
        with(line) { commandLine in
            let word = commandLine.words.map { $0 }.first
            #expect(word?.items.map { text($0.bytes) } == expected)
        }
    }

    @Test func anItemIsAWord() throws {
        try with("slub=cache-a=3,b") { (line) throws in
            let items = line.word("slub")!.items.map { $0 }
            #expect(items[0].hasKey("cache_a"))
            #expect(try items[0].number() == 3)
            #expect(items[1].hasKey("b"))
            #expect(!items[1].hasValue)
        }
    }

    @Test func valuesAndFormsOfTheirOwn() throws {
        with("crash=stack-overflow memmap=64K$0x100000") { line in
            #expect(line.word("crash")?.hasValue("stack-overflow") == true)
            #expect(line.word("crash")?.hasValue("stack") == false)
            #expect(line.word("crash")?.hasValue("stack_overflow") == false)
            var scanner = line.word("memmap")?.scanner
            #expect(scanner?.size() == 64 << 10)
            #expect(scanner?.accept(UInt8(ascii: "@")) == false)
            #expect(scanner?.accept(UInt8(ascii: "$")) == true)
            #expect(scanner?.size() == 1 << 20)
            #expect(scanner?.isAtEnd == true)
        }
    }
}
