import X86

/// A 16550 UART at COM1. It is polled to write; what it receives is for `SerialInput`.
enum SerialPort {
    private static var base: UInt16 { 0x3f8 }
    /// Written, it controls the queue; read, bits 6 and 7 say whether there is one.
    private static var queueControl: UInt16 { base + 2 }
    private static var lineStatus: UInt16 { base + 5 }
    private static var dataReady: UInt8 { 1 << 0 }
    private static var overrun: UInt8 { 1 << 1 }
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

    /// True where a byte has been received.
    static var hasReceived: Bool { readStatus() & dataReady != 0 }

    /// The byte that was received first, which is taken by that.
    static var receivedByte: UInt8 { x86_in8(base) }

    /// Has the port interrupt where a byte has come, or keep it.
    static func setReceiveInterrupts(on isOn: Bool) {
        // Data terminal ready, request to send, and the output that lets the interrupt through to its controller.
        x86_out8(base + 4, 0x0b)
        x86_out8(base + 1, isOn ? 1 : 0)
    }

    /// Has the port interrupt as soon as there is nothing left to be sent, until `setReceiveInterrupts`: for tests.
    static func requestInterrupt() { x86_out8(base + 1, 0x03) }

    /// How often the port had no room for a byte that came.
    nonisolated(unsafe) private(set) static var overruns = 0

    /// Reading the status forgets that bytes were lost: all who read it come here.
    private static func readStatus() -> UInt8 {
        let status = x86_in8(lineStatus)
        if status & overrun != 0 { unsafe overruns &+= 1 }
        return status
    }

    /// Waits until the transmitter is empty, within bounds: a port with nothing behind it must not stop the kernel.
    private static func wait() {
        var patience = 100_000
        while readStatus() & transmitterEmpty == 0, patience > 0 {
            patience -= 1
            x86_pause()
        }
    }
}
