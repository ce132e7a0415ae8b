import MemoryPrimitives

/// Writes reports to the serial line, return addresses with the names of their functions; a trace as it looks, too, or to
/// the port that traces are sent to. (One type for all of these: each more would be a copy of every report's code.)
struct SerialReportWriter: ReportWriter {
    enum Form {
        case report
        case trace
        case traceToPort
    }

    var form = Form.report

    mutating func write(_ byte: UInt8) {
        if form == .traceToPort { return TraceBytes.append(byte) }
        if byte == UInt8(ascii: "\n") { SerialPort.write(UInt8(ascii: "\r")) }
        SerialPort.write(byte)
    }

    mutating func write(returnAddress address: UInt) {
        if form != .report { return write(traced: address) }
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
