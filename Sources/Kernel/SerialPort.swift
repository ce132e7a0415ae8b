import X86

/// A 16550 UART at COM1, polled.
enum SerialPort {
    private static var base: UInt16 { 0x3f8 }
    private static var lineStatus: UInt16 { base + 5 }
    private static var transmitterEmpty: UInt8 { 1 << 5 }

    /// Waits until the transmitter takes a byte, within bounds: a port with nothing behind it must not stop the kernel.
    static func write(_ byte: UInt8) {
        var patience = 100_000
        while x86_in8(lineStatus) & transmitterEmpty == 0, patience > 0 {
            patience -= 1
            x86_pause()
        }
        x86_out8(base, byte)
    }
}
