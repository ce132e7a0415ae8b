import X86

/// The functions' names, linked into the image by Tools/symbol_table.py: sorted offsets from the image's base, and for
/// each the place of its name among NUL-terminated strings.
enum SymbolTable {
    private static var imageBase: UInt { 0xffff_ffff_8000_0000 }

    private static var count: UInt { UInt(x86_load64(symbol_table_count_address())) }

    struct Symbol {
        /// The address of the name's first byte; it ends with NUL.
        let name: UInt
        let offset: UInt
        /// Bytes to where the next function begins, or the code ends.
        let byteCount: UInt
    }

    /// The function that contains `address`; nil outside the kernel's code.
    ///
    /// - Complexity: O(log n) in the number of functions.
    static func symbol(containing address: UInt) -> Symbol? {
        guard address >= image_text_start_address(), address < image_text_end_address() else { return nil }
        let wanted = UInt32(truncatingIfNeeded: address - imageBase)
        // The last entry that does not lie beyond the address.
        var low: UInt = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if word(symbol_table_addresses_address(), middle) <= wanted { low = middle + 1 } else { high = middle }
        }
        guard low > 0 else { return nil }
        let index = low - 1
        let start = UInt(word(symbol_table_addresses_address(), index))
        let end =
            low < count ? UInt(word(symbol_table_addresses_address(), low)) : image_text_end_address() &- imageBase
        return Symbol(
            name: symbol_table_strings_address() + UInt(word(symbol_table_names_address(), index)),
            offset: UInt(wanted) &- start, byteCount: end &- start)
    }

    /// Whether the function that contains `address` has `text` in its name. - Complexity: O(log n + length of the name).
    static func name(at address: UInt, contains text: StaticString) -> Bool {
        guard let symbol = symbol(containing: address) else { return false }
        var start = symbol.name
        while x86_load8(start) != 0 {
            var length = 0
            // Both end: the text at its count, the name at a NUL, which the text has none of.
            while length < text.utf8CodeUnitCount, unsafe x86_load8(start + UInt(length)) == text.utf8Start[length] {
                length += 1
            }
            if length == text.utf8CodeUnitCount { return true }
            start += 1
        }
        return false
    }

    private static func word(_ table: UInt, _ index: UInt) -> UInt32 {
        var value: UInt32 = 0
        for byte in 0..<4 { value |= UInt32(x86_load8(table + index * 4 + UInt(byte))) << UInt32(8 * byte) }
        return value
    }
}

extension LogMessage.Interpolation {
    /// `0xffffffff80123456 function+0x12`, or the bare address where no function is there.
    mutating func appendInterpolation(code address: UInt) { append(address, symbolOf: address) }

    /// As `code:`, for a return address: the byte after a call may belong to the next function.
    mutating func appendInterpolation(caller address: UInt) { append(address, symbolOf: address &- 1) }

    private mutating func append(_ address: UInt, symbolOf inner: UInt) {
        appendInterpolation(hex: address, digits: 16)
        guard let symbol = SymbolTable.symbol(containing: inner) else { return }
        LineBuffer.append(UInt8(ascii: " "))
        var byte = symbol.name
        while x86_load8(byte) != 0 {
            LineBuffer.append(x86_load8(byte))
            byte += 1
        }
        LineBuffer.append(UInt8(ascii: "+"))
        appendInterpolation(hex: symbol.offset &+ (address &- inner))
    }
}
