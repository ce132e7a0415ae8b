import MemoryPrimitives

/// A line for the log: `"zone \(name): \(frames) frames at \(hex: address)"`.
///
/// Literals are `StaticString`, numbers are formatted into `LineBuffer`: no allocation, no `String`.
struct LogMessage: ExpressibleByStringInterpolation {
    /// Where the message begins in `LineBuffer`.
    let mark: Int

    init(stringLiteral value: StaticString) {
        mark = LineBuffer.mark
        append(value)
    }

    init(stringInterpolation: Interpolation) { mark = stringInterpolation.mark }

    struct Interpolation: StringInterpolationProtocol {
        let mark: Int

        init(literalCapacity: Int, interpolationCount: Int) { mark = LineBuffer.mark }

        mutating func appendLiteral(_ literal: StaticString) { append(literal) }

        mutating func appendInterpolation(_ text: StaticString) { append(text) }

        /// Decimal.
        mutating func appendInterpolation(_ number: UInt) { append(decimal: number) }

        mutating func appendInterpolation(_ number: UInt64) { append(decimal: UInt(number)) }

        mutating func appendInterpolation(_ number: Int) {
            if number < 0 { LineBuffer.append(UInt8(ascii: "-")) }
            append(decimal: number.magnitude)
        }

        /// Decimal, right-aligned in `width` columns.
        mutating func appendInterpolation(_ number: UInt, width: Int) { append(decimal: number, width: width) }

        mutating func appendInterpolation(_ number: Int, width: Int) { append(decimal: UInt(number), width: width) }

        /// `0x` and hexadecimal digits, at least `digits` of them.
        mutating func appendInterpolation(hex number: UInt, digits: Int = 1) { append(hex: number, digits: digits) }

        mutating func appendInterpolation(_ address: PhysicalAddress) { append(hex: address.rawValue, digits: 12) }

        mutating func appendInterpolation(_ address: VirtualAddress) { append(hex: address.rawValue, digits: 16) }

        /// `0x000000100000-0x0000001fffff`: the last byte is part of the range, as the firmware's tables are printed.
        mutating func appendInterpolation(_ range: PhysicalRange) {
            append(hex: range.start.rawValue, digits: 12)
            LineBuffer.append(UInt8(ascii: "-"))
            append(hex: range.isEmpty ? range.end.rawValue : range.end.rawValue - 1, digits: 12)
        }

        mutating func appendInterpolation(_ range: VirtualRange) {
            append(hex: range.start.rawValue, digits: 16)
            LineBuffer.append(UInt8(ascii: "-"))
            append(hex: range.isEmpty ? range.end.rawValue : range.end.rawValue - 1, digits: 16)
        }

        /// A byte count in the largest binary unit that divides it, or in KiB.
        mutating func appendInterpolation(bytes count: UInt) { append(bytes: count) }

        /// Text that is not a literal, such as the command line; bytes that are not printable ASCII show as `?`.
        mutating func appendInterpolation(_ text: UnsafeRawBufferPointer) {
            // At most half of LineBuffer, so that the line keeps room for the rest of it.
            for index in text.indices.prefix(LineBuffer.capacity / 2) {
                let byte = unsafe text[index]
                LineBuffer.append(byte >= 0x20 && byte < 0x7f ? byte : UInt8(ascii: "?"))
            }
        }

        mutating func appendInterpolation(_ flag: Bool) { append(flag ? "yes" : "no") }
    }
}

@inline(never)
private func append(_ text: StaticString) {
    // A StaticString's bytes live as long as the image.
    unsafe LineBuffer.append(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
}

@inline(never)
private func append(decimal number: UInt, width: Int = 0) {
    var digits = 1
    var rest = number / 10
    while rest > 0 {
        digits &+= 1
        rest /= 10
    }
    let count = max(digits, width)
    // Each byte is written, and none beyond the count.
    unsafe LineBuffer.append(count: count) { text in
        var rest = number
        var position = count
        repeat {
            position &-= 1
            unsafe text[position] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
        while position > 0 {
            position &-= 1
            unsafe text[position] = UInt8(ascii: " ")
        }
    }
}

@inline(never)
private func append(hex number: UInt, digits: Int) {
    let count = max(digits, (UInt.bitWidth - number.leadingZeroBitCount + 3) / 4)
    // As above.
    unsafe LineBuffer.append(count: count + 2) { text in
        unsafe text[0] = UInt8(ascii: "0")
        unsafe text[1] = UInt8(ascii: "x")
        var rest = number
        for position in 0..<count {
            let digit = UInt8(truncatingIfNeeded: rest & 0xf)
            // From the last digit on.
            let place = unsafe text + (count &+ 1 &- position)
            unsafe place.pointee = digit &+ (digit < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") &- 10)
            rest >>= 4
        }
    }
}

@inline(never)
private func append(bytes count: UInt) {
    if count >= 1 << 30, count & ((1 << 30) - 1) == 0 {
        append(decimal: count >> 30)
        append(" GiB")
    } else if count >= 1 << 20, count & ((1 << 20) - 1) == 0 {
        append(decimal: count >> 20)
        append(" MiB")
    } else if count >= 1 << 10, count & ((1 << 10) - 1) == 0 {
        append(decimal: count >> 10)
        append(" KiB")
    } else {
        append(decimal: count)
        append(" bytes")
    }
}
