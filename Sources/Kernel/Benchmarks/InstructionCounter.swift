import MemoryPrimitives
import X86

/// Counts the instructions of an operation: two readings of the time stamp counter around it, with interrupts off.
///
/// Under QEMU's `-icount shift=0` a tick is one executed instruction, and a REP string instruction is charged one tick
/// an iteration. `checkCalibration()` makes sure of it, because anywhere else the numbers would mean nothing.
enum InstructionCounter {
    /// What a pair of readings with nothing between them counts: the reading itself is three instructions.
    private static var emptyPair: UInt64 { 3 }

    /// What `begin()` read, for `ticks(since:)`.
    struct Reading {
        fileprivate let interrupts: InterruptState
        fileprivate let start: UInt64
    }

    /// Begins to count. A pair of calls and no closure between, which the compiler may or may not make a function of its
    /// own: its call would count.
    @inline(__always)
    static func begin() -> Reading {
        let interrupts = X86Platform.disableInterrupts()
        return Reading(interrupts: interrupts, start: x86_sample_time_stamp())
    }

    /// Ends it. - Returns: the instructions in between.
    @inline(__always)
    static func ticks(since reading: Reading) -> UInt64 {
        let end = x86_sample_time_stamp()
        X86Platform.restoreInterrupts(reading.interrupts)
        return difference(from: reading.start, to: end)
    }

    /// What two readings count. Where a tick is no instruction the clock may stand still between them, or go back: then
    /// nothing.
    @inline(__always)
    static func difference(from start: UInt64, to end: UInt64) -> UInt64 {
        let ticks = Int64(bitPattern: end &- start &- emptyPair)
        return ticks < 0 ? 0 : UInt64(bitPattern: ticks)
    }

    /// Does `operation` once. - Returns: its instructions.
    @inline(__always)
    static func count(_ operation: () -> Void) -> UInt64 {
        let reading = begin()
        operation()
        return ticks(since: reading)
    }

    /// Prints what is counted for code of known length, and ends the kernel where that is not its length.
    @inline(never)
    static func checkCalibration() {
        let (empty, nops, countdown) = calibrate()
        Log.plain("bench calibration empty pair\t\(empty)")
        Log.plain("bench calibration 1000 nops\t\(nops)")
        Log.plain("bench calibration dec/jnz 1000 times\t\(countdown)")
        if empty == emptyPair, nops == 1000, countdown == 2001 { return }
        FatalReport.panic(
            """
            calibration is off: \(emptyPair), 1000 and 2001 instructions were counted as \(empty), \(nops) and \
            \(countdown); `make bench` runs the kernel where a tick is an instruction
            """, .calibrationOff)
    }

    /// Whether a tick is an instruction here.
    @inline(never)
    static var countsInstructions: Bool {
        let (empty, nops, countdown) = calibrate()
        return empty == emptyPair && nops == 1000 && countdown == 2001
    }

    /// What is counted for nothing, for 1000 instructions and for 2001.
    private static func calibrate() -> (empty: UInt64, nops: UInt64, countdown: UInt64) {
        // Twice each: the first time QEMU still translates the code, which costs no tick and must not.
        var empty: UInt64 = 0
        var nops: UInt64 = 0
        var countdown: UInt64 = 0
        for _ in 0..<2 {
            empty = count {} &+ emptyPair
            nops = count { x86_thousand_nops() }
            countdown = count { x86_count_down_from_thousand() }
        }
        return (empty, nops, countdown)
    }

    /// Prints what one REP string instruction, with the loading of its registers, counts for clearing and for copying
    /// each power of two from 8 bytes to a page: what rows that clear or copy are not bound for.
    ///
    /// - Parameter room: two pages that nobody uses.
    @inline(never)
    static func printStringInstructions(room: UInt) {
        let copy = room &+ PageSize.byteCount
        for shift in UInt(3)...PageSize.shift {
            let words = UInt(1) << (shift - 3)
            var clear: UInt64 = 0
            var move: UInt64 = 0
            for _ in 0..<2 {
                clear = count { x86_store_words(room, words) }
                move = count { x86_copy_words(copy, room, words) }
            }
            Log.plain("bench calibration rep stosq \(words << 3) bytes\t\(clear)")
            Log.plain("bench calibration rep movsq \(words << 3) bytes\t\(move)")
        }
    }
}
