import MemoryPrimitives
import X86

/// Time in seconds, by the time stamp counter, whose rate a timer of known rate tells.
enum Clock {
    /// Of a PC's interval timer, in Hz (Intel 8254).
    private static var timerRate: UInt64 { 1_193_182 }
    /// What is counted down: 50 ms.
    private static var timerCount: UInt64 { 59_659 }

    nonisolated(unsafe) private static var knownRate: UInt64 = 0

    /// Ticks of the time stamp counter in a second; measured at the first call, which takes 50 ms.
    static var ticksPerSecond: UInt64 {
        if unsafe knownRate == 0 { unsafe knownRate = measure() }
        return unsafe knownRate
    }

    /// How many ticks the third counter of the interval timer takes, which is the speaker's and nobody else's: it counts down
    /// once its gate opens, and its output says when it is done.
    private static func measure() -> UInt64 {
        let interrupts = X86Platform.disableInterrupts()
        let control = x86_in8(0x61) & 0xfc
        x86_out8(0x61, control)
        // Counter 2, both bytes, interrupt on terminal count.
        x86_out8(0x43, 0xb0)
        x86_out8(0x42, UInt8(truncatingIfNeeded: timerCount))
        x86_out8(0x42, UInt8(truncatingIfNeeded: timerCount >> 8))
        x86_out8(0x61, control | 1)
        let start = x86_read_time_stamp()
        // A machine without one is not to hang: as much patience as a second has at 100 GHz.
        while x86_in8(0x61) & 1 << 5 == 0, x86_read_time_stamp() &- start < 100_000_000_000 { x86_pause() }
        let ticks = x86_read_time_stamp() &- start
        x86_out8(0x61, control)
        X86Platform.restoreInterrupts(interrupts)
        return max(1, ticks * timerRate / timerCount)
    }
}
