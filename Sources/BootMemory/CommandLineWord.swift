/// One word of the command line: `key` or `key=value`. Valid for as long as the line's bytes are.
@safe
public struct Word: Sendable {
    // Never written to, and in place for as long as the command line is used, by CommandLine.init's contract.
    /// All of it, as it was typed.
    public nonisolated(unsafe) let bytes: UnsafeRawBufferPointer
    /// What stands before the first `=`; all of it where there is none.
    public nonisolated(unsafe) let key: UnsafeRawBufferPointer
    /// What stands behind the first `=`, without quotes around it; nil where there is none.
    public nonisolated(unsafe) let value: UnsafeRawBufferPointer?

    @unsafe
    init(_ typed: UnsafeRawBufferPointer) {
        unsafe bytes = typed
        let whole = unsafe Self.unquoted(typed)
        var length = 0
        // length < whole.count.
        while length < whole.count, unsafe whole[length] != UInt8(ascii: "=") { length += 1 }
        unsafe key = UnsafeRawBufferPointer(rebasing: whole[..<length])
        if length < whole.count {
            unsafe value = Self.unquoted(UnsafeRawBufferPointer(rebasing: whole[(length + 1)...]))
        } else {
            unsafe value = nil
        }
    }

    @unsafe
    private static func unquoted(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        let quote = UInt8(ascii: "\"")
        // At least one byte is left wherever one is read.
        guard let first = unsafe text.first, first == quote else { return unsafe text }
        let end = unsafe text.count > 1 && text[text.count - 1] == quote ? text.count - 1 : text.count
        return unsafe UnsafeRawBufferPointer(rebasing: text[1..<end])
    }

    /// True when this is the word's key; `-` and `_` are the same.
    public func hasKey(_ name: StaticString) -> Bool {
        guard unsafe key.count == name.utf8CodeUnitCount else { return false }
        for index in unsafe 0..<key.count {
            // index < utf8CodeUnitCount.
            if unsafe Self.folded(key[index]) != Self.folded(name.utf8Start[index]) { return false }
        }
        return true
    }

    /// True when there is a value, be it empty.
    // Looks whether there is a buffer, not into it.
    public var hasValue: Bool { unsafe value != nil }

    /// True when the value is `text`.
    public func hasValue(_ text: StaticString) -> Bool {
        guard let value = unsafe value else { return false }
        return unsafe BootMemory.bytes(value, equal: text)
    }

    /// A scanner on the value, for values with a form of their own, such as `memmap=64K$1M`; nil where there is none.
    public var scanner: ByteScanner? { unsafe value.map { unsafe ByteScanner($0) } }

    /// The value as a number, decimal or hexadecimal.
    /// - Throws: `valueMissing`, `notANumber`.
    public func number() throws(CommandLineError) -> UInt {
        guard var scanner else { throw CommandLineError(kind: .valueMissing, word: self) }
        guard let number = scanner.number(), scanner.isAtEnd else {
            throw CommandLineError(kind: .notANumber, word: self)
        }
        return number
    }

    /// The value as a size in bytes: a number and, optionally, K, M, G, T, P or E.
    /// - Throws: `valueMissing`, `notASize`.
    public func size() throws(CommandLineError) -> UInt {
        guard var scanner else { throw CommandLineError(kind: .valueMissing, word: self) }
        guard let size = scanner.size(), scanner.isAtEnd else { throw CommandLineError(kind: .notASize, word: self) }
        return size
    }

    /// The word as a switch. On where it has no value.
    /// - Throws: `notAFlag` for a value that is neither.
    public func flag() throws(CommandLineError) -> Bool {
        if unsafe value == nil || hasValue("1") || hasValue("on") || hasValue("y") || hasValue("yes") { return true }
        if hasValue("0") || hasValue("off") || hasValue("n") || hasValue("no") { return false }
        throw CommandLineError(kind: .notAFlag, word: self)
    }

    private static func folded(_ byte: UInt8) -> UInt8 { byte == UInt8(ascii: "-") ? UInt8(ascii: "_") : byte }
}
