import MemoryPrimitives

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

    /// By the names of the slab floor's types. The byte after a call may belong to the next function.
    func isWithinAllocator(_ address: UInt) -> Bool {
        SymbolTable.name(at: address &- 1, contains: "SlabCache.")
            || SymbolTable.name(at: address &- 1, contains: "Magazine.")
            || SymbolTable.name(at: address &- 1, contains: "Kmalloc.")
    }
}
