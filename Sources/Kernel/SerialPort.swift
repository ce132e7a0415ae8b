import X86

/// A 16550 UART at COM1, polled.
enum SerialPort {
    private static var base: UInt16 { 0x3f8 }
    /// Written, it controls the queue; read, bits 6 and 7 say whether there is one.
    private static var queueControl: UInt16 { base + 2 }
    private static var lineStatus: UInt16 { base + 5 }
    private static var dataReady: UInt8 { 1 << 0 }
    private static var transmitterEmpty: UInt8 { 1 << 5 }

    /// How many bytes an empty transmitter takes.
    nonisolated(unsafe) private static var queueLength = 1

    /// Switches the queue on, so that there is one wait for 16 bytes.
    static func start() {
        x86_out8(queueControl, 1)
        if x86_in8(queueControl) >> 6 == 3 { unsafe queueLength = 16 }
    }

    static func write(_ byte: UInt8) {
        wait()
        x86_out8(base, byte)
    }

    static func write(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard var next = bytes.baseAddress else { return }
        var rest = bytes.count
        while rest > 0 {
            let count = unsafe min(rest, queueLength)
            wait()
            // Within the bytes: count is at most what is left of them.
            unsafe x86_out8_string(base, next, UInt64(count))
            unsafe next += count
            rest -= count
        }
    }

    /// The byte that was received first; nil where none is there.
    static func read() -> UInt8? { x86_in8(lineStatus) & dataReady == 0 ? nil : x86_in8(base) }

    /// Waits until the transmitter is empty, within bounds: a port with nothing behind it must not stop the kernel.
    private static func wait() {
        var patience = 100_000
        while x86_in8(lineStatus) & transmitterEmpty == 0, patience > 0 {
            patience -= 1
            x86_pause()
        }
    }
}
