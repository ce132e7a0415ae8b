import X86

/// A 16550 UART at COM2, polled: what a trace is streamed to. It takes no lock, so that any context may write.
enum TracePort {
    private static var base: UInt16 { 0x2f8 }
    private static var queueControl: UInt16 { base + 2 }
    private static var lineStatus: UInt16 { base + 5 }
    private static var scratch: UInt16 { base + 7 }
    private static var transmitterEmpty: UInt8 { 1 << 5 }

    nonisolated(unsafe) private static var queueLength = 0

    /// Whether there is a port that takes bytes. False before `start()`, and for good once it has not taken any for so long that
    /// nobody can be listening.
    static var isAlive: Bool { unsafe queueLength != 0 }

    /// Looks for the port, and switches its queue on. - Returns: false where there is none.
    static func start() -> Bool {
        // A register without a meaning keeps what is written, and a bus without a device does not.
        x86_out8(scratch, 0x5a)
        if x86_in8(scratch) != 0x5a { return false }
        x86_out8(queueControl, 1)
        unsafe queueLength = x86_in8(queueControl) >> 6 == 3 ? 16 : 1
        return true
    }

    /// Sends bytes, waiting within bounds. - Returns: false where the port takes no more; some may have been sent.
    static func write(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        guard var next = bytes.baseAddress else { return isAlive }
        var rest = bytes.count
        while rest > 0 {
            guard isAlive, wait() else { return false }
            let count = unsafe min(rest, queueLength)
            // Within the bytes: count is at most what is left of them.
            unsafe x86_out8_string(base, next, UInt64(count))
            unsafe next += count
            rest -= count
        }
        return true
    }

    /// Waits until the transmitter is empty: seconds, while who listens is slow, and not for ever.
    private static func wait() -> Bool {
        var patience = 4_000_000
        while x86_in8(lineStatus) & transmitterEmpty == 0 {
            patience -= 1
            if patience == 0 {
                unsafe queueLength = 0
                return false
            }
            x86_pause()
        }
        return true
    }
}
