/// Where a report goes, byte by byte: a serial line in the kernel, an array in a test.
///
/// Reports are plain ASCII, in the formats that Linux's tools already read. Writing allocates nothing.
public protocol ReportWriter {
    /// Takes the next byte of the report, an ASCII character.
    mutating func write(_ byte: UInt8)

    /// Writes a return address. Who knows functions by name writes the name, too.
    mutating func write(returnAddress address: UInt)

    /// Writes a return address in a line of columns, as Linux's `%pS` does: `function+0x12/0x40` where the function is known by
    /// name, and `0xffffffff80123456` where not. No space is written.
    mutating func write(symbolOf address: UInt)

    /// The same for any address of code: of the function that contains that very byte.
    mutating func write(symbolAt address: UInt)

    /// Whether a return address is known to lie in a function of the allocators, and not of those who call them.
    func isWithinAllocator(_ address: UInt) -> Bool
}

extension ReportWriter {
    /// False: who knows no function names leaves every address in.
    public func isWithinAllocator(_ address: UInt) -> Bool { false }

    /// Writes the address as `0x` and 16 hexadecimal digits, without a name.
    public mutating func write(returnAddress address: UInt) {
        write("0x")
        write(hex: address, digits: 16)
    }

    public mutating func write(symbolOf address: UInt) {
        write("0x")
        write(hex: address, digits: 16)
    }

    public mutating func write(symbolAt address: UInt) { write(symbolOf: address) }

    /// Writes text.
    @inline(never)
    public mutating func write(_ text: StaticString) {
        // A StaticString's bytes live as long as the image.
        for index in 0..<text.utf8CodeUnitCount { unsafe write(text.utf8Start[index]) }
    }

    /// Writes text, right-aligned in `width` columns.
    public mutating func write(_ text: StaticString, width: Int) {
        pad(width - text.utf8CodeUnitCount)
        write(text)
    }

    /// Writes a decimal number, right-aligned in `width` columns.
    @inline(never)
    public mutating func write(decimal number: UInt, width: Int = 0) {
        var divisor: UInt = 1
        var digits = 1
        while number / divisor >= 10 {
            divisor *= 10
            digits += 1
        }
        pad(width - digits)
        var rest = number
        for _ in 0..<digits {
            write(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest / divisor))
            rest %= divisor
            divisor /= 10
        }
    }

    /// Writes hexadecimal digits, at least `digits` of them, without a prefix.
    @inline(never)
    public mutating func write(hex number: UInt, digits: Int = 1) {
        var shift = max(digits, (UInt.bitWidth - number.leadingZeroBitCount + 3) / 4) * 4
        while shift > 0 {
            shift -= 4
            let digit = UInt8(truncatingIfNeeded: number >> UInt(shift) & 0xf)
            write(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
        }
    }

    /// Ends the line.
    public mutating func endLine() { write(UInt8(ascii: "\n")) }

    private mutating func pad(_ count: Int) {
        if count > 0 { for _ in 0..<count { write(UInt8(ascii: " ")) } }
    }
}
