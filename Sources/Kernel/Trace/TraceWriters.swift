import MemoryPrimitives

extension SerialReportWriter {
    /// Writes a code address as a trace has it: `function+0x12/0x40`.
    @inline(never)
    mutating func write(traced address: UInt) {
        guard let symbol = SymbolTable.symbol(containing: address &- 1) else {
            write("0x")
            write(hex: address)
            return
        }
        var place = symbol.name
        while true {
            let byte = SymbolTable.byte(place)
            if byte == 0 { break }
            // A field of a trace ends where a space is.
            write(byte == UInt8(ascii: " ") ? UInt8(ascii: "_") : byte)
            place += 1
        }
        write("+0x")
        write(hex: symbol.offset &+ 1)
        write("/0x")
        write(hex: symbol.byteCount)
    }
}

/// Bytes for `TracePort`, gathered in static memory: by one writer at a time (`Tracer.drain`).
enum TraceBytes {
    private static let capacity = 128

    nonisolated(unsafe) private static var bytes = InlineArray<128, UInt8>(repeating: 0)
    nonisolated(unsafe) private static var count = 0

    static func append(_ byte: UInt8) {
        if unsafe count == capacity { flush() }
        unsafe bytes[count] = byte
        unsafe count += 1
    }

    /// Sends what was gathered.
    @inline(never)
    static func flush() {
        // A global's address does not change.
        let start = unsafe withUnsafeMutablePointer(to: &bytes) { UnsafeMutableRawPointer($0) }
            .assumingMemoryBound(to: UInt8.self)
        _ = unsafe TracePort.write(UnsafeBufferPointer(start: start, count: count))
        unsafe count = 0
    }
}
