/// What the user typed for the kernel in the boot loader: words, each a flag or `key=value`.
///
/// Words are separated by spaces and other control characters, except within double quotes, which belong to no word. In
/// keys `-` and `_` are the same, as in Linux. Bytes, not text: nothing is decoded and nothing is copied.
@safe
public struct CommandLine: Sendable {
    // Never written to, and in place for as long as the command line is used, by init's contract.
    private nonisolated(unsafe) let bytes: UnsafeRawBufferPointer
    private let start: Int

    /// A command line in the boot loader's memory.
    /// - Parameters:
    ///   - bytes: the line, which must stay where it is. A NUL byte ends it.
    ///   - dropsFirstWord: true where the boot loader puts the kernel's file name first.
    @unsafe
    public init(_ bytes: UnsafeRawBufferPointer, dropsFirstWord: Bool = false) {
        var length = 0
        // length < bytes.count.
        while length < bytes.count, unsafe bytes[length] != 0 { length += 1 }
        unsafe self.bytes = UnsafeRawBufferPointer(rebasing: bytes[..<length])
        var scan = unsafe Words(bytes: self.bytes, position: 0)
        if dropsFirstWord { _ = scan.next() }
        start = scan.position
    }

    /// An empty line.
    public init() {
        unsafe bytes = UnsafeRawBufferPointer(start: nil, count: 0)
        start = 0
    }

    /// The words, in order.
    public var words: Words { unsafe Words(bytes: bytes, position: start) }

    /// The last word with this key, which is the one that holds; nil where there is none.
    /// - Complexity: O(n) in the line's length, as the calls below.
    public func word(_ key: StaticString) -> Word? {
        var found: Word?
        for word in words where word.hasKey(key) { found = word }
        return found
    }

    /// True when the word stands there, with or without a value.
    public func contains(_ key: StaticString) -> Bool { word(key) != nil }

    /// The number that `key` is set to; nil where it is not there.
    /// - Throws: as `Word.number()`.
    public func number(_ key: StaticString) throws(CommandLineError) -> UInt? { try word(key)?.number() }

    /// The size in bytes that `key` is set to; nil where it is not there.
    /// - Throws: as `Word.size()`.
    public func size(_ key: StaticString) throws(CommandLineError) -> UInt? { try word(key)?.size() }

    /// Whether `key` is switched on: `key`, `key=1`, `=on`, `=y` or `=yes`, or off: `=0`, `=off`, `=n` or `=no`; nil where
    /// it is not there.
    /// - Throws: as `Word.flag()`.
    public func flag(_ key: StaticString) throws(CommandLineError) -> Bool? { try word(key)?.flag() }

    /// Walks along the words of a line.
    @safe
    public struct Words: Sequence, IteratorProtocol {
        let bytes: UnsafeRawBufferPointer
        var position: Int

        /// The next word; nil behind the last.
        public mutating func next() -> Word? {
            // Every index is below bytes.count.
            while unsafe position < bytes.count, unsafe bytes[position] <= 0x20 { position += 1 }
            guard unsafe position < bytes.count else { return nil }
            let start = position
            var isQuoted = false
            while unsafe position < bytes.count, unsafe isQuoted || bytes[position] > 0x20 {
                if unsafe bytes[position] == UInt8(ascii: "\"") { isQuoted.toggle() }
                position += 1
            }
            return unsafe Word(UnsafeRawBufferPointer(rebasing: bytes[start..<position]))
        }
    }
}

/// A value on the command line that does not mean what its key needs.
public struct CommandLineError: Error, Sendable {
    /// What the key needs and the value is not.
    public enum Kind: UInt8, Sendable {
        /// The key needs a value.
        case valueMissing
        /// The value is not a number, or one of more than 64 bits.
        case notANumber
        /// The value is not a size.
        case notASize
        /// The value is neither on nor off.
        case notAFlag
        /// The value is none of those that there are.
        case notAChoice
        /// A kernel stack is not to be so large.
        case notAStackSize
        /// There are not to be so many guard pages.
        case notAGuardGap
        /// The value, or an item of it, is no range of memory.
        case notAMemoryRange
    }

    /// What is wrong with the value.
    public var kind: Kind
    /// The word as it was typed.
    public var word: Word

    /// A complaint about `word`.
    public init(kind: Kind, word: Word) {
        self.kind = kind
        self.word = word
    }
}
