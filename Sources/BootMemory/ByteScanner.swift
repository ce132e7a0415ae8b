/// True when `buffer` holds the bytes of `text` and no more.
@unsafe
func bytes(_ buffer: UnsafeRawBufferPointer, equal text: StaticString) -> Bool {
    guard buffer.count == text.utf8CodeUnitCount else { return false }
    for index in 0..<buffer.count {
        // index < utf8CodeUnitCount.
        if unsafe buffer[index] != text.utf8Start[index] { return false }
    }
    return true
}

/// Reads numbers from the front of a piece of text.
@safe
public struct ByteScanner {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    /// A scanner at the beginning of a text.
    /// - Parameter bytes: the text, which must stay where it is for as long as the scanner is used.
    @unsafe
    public init(_ bytes: UnsafeRawBufferPointer) { unsafe self.bytes = bytes }

    /// True when nothing is left.
    public var isAtEnd: Bool { unsafe position >= bytes.count }

    private var next: UInt8? {
        // Within the buffer, as was just checked.
        isAtEnd ? nil : unsafe bytes[position]
    }

    /// Steps over `byte` where it comes next.
    /// - Returns: whether it did.
    public mutating func accept(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        position &+= 1
        return true
    }

    /// A number: decimal, or hexadecimal after `0x`. Nil, and the position is lost, where none comes next or where it
    /// needs more than 64 bits.
    public mutating func number() -> UInt? {
        var radix: UInt = 10
        if accept(UInt8(ascii: "0")) {
            guard accept(UInt8(ascii: "x")) || accept(UInt8(ascii: "X")) else { return digits(radix, startingWith: 0) }
            radix = 16
        }
        return digits(radix, startingWith: nil)
    }

    /// A size in bytes: a number and, optionally, K, M, G, T, P or E for the power of 1024 to multiply it by.
    public mutating func size() -> UInt? {
        guard let number = number() else { return nil }
        var shift: UInt = 0
        switch next.map({ $0 | 0x20 }) {
        case UInt8(ascii: "k"): shift = 10
        case UInt8(ascii: "m"): shift = 20
        case UInt8(ascii: "g"): shift = 30
        case UInt8(ascii: "t"): shift = 40
        case UInt8(ascii: "p"): shift = 50
        case UInt8(ascii: "e"): shift = 60
        default: return number
        }
        position &+= 1
        let shifted = number << shift
        return shifted >> shift == number ? shifted : nil
    }

    private mutating func digits(_ radix: UInt, startingWith start: UInt?) -> UInt? {
        var value = start
        while let byte = next, let digit = Self.digit(byte), digit < radix {
            let (product, overflow) = (value ?? 0).multipliedReportingOverflow(by: radix)
            let (sum, carry) = product.addingReportingOverflow(digit)
            if overflow || carry { return nil }
            value = sum
            position &+= 1
        }
        return value
    }

    private static func digit(_ byte: UInt8) -> UInt? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt(byte &- UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt(byte &- UInt8(ascii: "a")) &+ 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt(byte &- UInt8(ascii: "A")) &+ 10
        default: nil
        }
    }
}
