import BootMemory

/// A piece of text that lies elsewhere: a typed line, a word of it, a name. Valid for as long as its bytes are.
@safe
public struct LineText: Sendable {
    // Never written to, and in place for as long as the text is used, by the initialiser's contract.
    private nonisolated(unsafe) let bytes: UnsafeRawBufferPointer

    /// - Parameter bytes: the text, which must stay as it is for as long as this value is used.
    @unsafe
    public init(_ bytes: UnsafeRawBufferPointer) { unsafe self.bytes = bytes }

    /// Text of the program itself.
    public init(_ text: StaticString) {
        // A StaticString's bytes live as long as the image.
        unsafe bytes = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    /// How many bytes it has.
    public var count: Int { unsafe bytes.count }

    /// True where it has no bytes.
    public var isEmpty: Bool { count == 0 }

    /// The byte at `index`, which is one of 0..<count.
    public subscript(index: Int) -> UInt8 {
        precondition(index >= 0 && index < count, "a byte of the text")
        return unsafe bytes[index]
    }

    /// The bytes, for who prints or copies them.
    @unsafe
    public var rawBytes: UnsafeRawBufferPointer { unsafe bytes }

    /// The part of it from `start` up to `end`, which lie within it, in that order.
    public func part(from start: Int, to end: Int) -> LineText {
        precondition(start >= 0 && start <= end && end <= count, "a part of the text")
        return unsafe LineText(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
    }

    /// True where both have the same bytes.
    public static func == (left: LineText, right: LineText) -> Bool {
        left.count == right.count && left.hasPrefix(right)
    }

    /// True where it has the bytes of `text` and no more.
    public static func == (left: LineText, right: StaticString) -> Bool { left == LineText(right) }

    /// True where it begins with the bytes of `other`.
    public func hasPrefix(_ other: LineText) -> Bool {
        count >= other.count && commonPrefix(with: other) == other.count
    }

    /// True where the bytes of `other` stand somewhere in it. - Complexity: O(both lengths, multiplied).
    public func contains(_ other: LineText) -> Bool {
        if other.count > count { return false }
        for start in 0...(count - other.count) where part(from: start, to: count).hasPrefix(other) { return true }
        return false
    }

    /// How many bytes both have alike from their beginnings on.
    public func commonPrefix(with other: LineText) -> Int {
        let most = min(count, other.count)
        var length = 0
        while length < most, self[length] == other[length] { length += 1 }
        return length
    }

    /// The number that it is as a whole: decimal, or hexadecimal after `0x`; nil where it is none of 64 bits.
    public var number: UInt? {
        var scanner = unsafe ByteScanner(bytes)
        guard let number = scanner.number(), scanner.isAtEnd else { return nil }
        return number
    }

    /// The size in bytes that it is as a whole: a number and, optionally, K, M, G, T, P or E; nil where it is none.
    public var size: UInt? {
        var scanner = unsafe ByteScanner(bytes)
        guard let size = scanner.size(), scanner.isAtEnd else { return nil }
        return size
    }
}
