import X86

/// What is typed on the serial line.
enum SerialInput {
    /// The next byte; waits for it.
    static func next() -> UInt8 {
        while true {
            if let byte = SerialPort.read() { return byte }
            x86_pause()
        }
    }
}
