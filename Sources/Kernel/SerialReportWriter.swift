import MemoryPrimitives
import X86

/// Writes reports to the serial line, return addresses with the names of their functions.
struct SerialReportWriter: ReportWriter {
    mutating func write(_ byte: UInt8) {
        if byte == UInt8(ascii: "\n") { SerialPort.write(UInt8(ascii: "\r")) }
        SerialPort.write(byte)
    }

    mutating func write(returnAddress address: UInt) {
        let text: LogMessage = "\(caller: address)"
        unsafe SerialPort.write(LineBuffer.bytes(from: text.mark))
        LineBuffer.discard(to: text.mark)
    }

    // The byte after a call may belong to the next function.
    mutating func write(symbolOf address: UInt) { write(symbolContaining: address &- 1, distance: 1) }

    mutating func write(symbolAt address: UInt) { write(symbolContaining: address, distance: 0) }

    /// Writes `name+0x12/0x40` of what lies `distance` bytes behind an address; names are as a backtrace has them, with
    /// underscores for spaces.
    @inline(never)
    private mutating func write(symbolContaining address: UInt, distance: UInt) {
        guard let symbol = SymbolTable.symbol(containing: address) else {
            write("0x")
            return write(hex: address &+ distance, digits: 16)
        }
        var byte = symbol.name
        while x86_load8(byte) != 0 {
            let character = x86_load8(byte)
            write(character == UInt8(ascii: " ") ? UInt8(ascii: "_") : character)
            byte += 1
        }
        write("+0x")
        write(hex: symbol.offset &+ distance)
        write("/0x")
        write(hex: symbol.byteCount)
    }

    /// By the names of the slab floor's types. The byte after a call may belong to the next function.
    func isWithinAllocator(_ address: UInt) -> Bool {
        SymbolTable.name(at: address &- 1, contains: "SlabCache.")
            || SymbolTable.name(at: address &- 1, contains: "Magazine.")
            || SymbolTable.name(at: address &- 1, contains: "Kmalloc.")
    }
}
