import MemoryPrimitives
import X86

/// Counts the instructions of an operation: two readings of the time stamp counter around it, with interrupts off.
///
/// Under QEMU's `-icount shift=0` a tick is one executed instruction, and a REP string instruction is charged one tick
/// an iteration. `checkCalibration()` makes sure of it, because anywhere else the numbers would mean nothing.
enum InstructionCounter {
    /// What a pair of readings with nothing between them counts: the reading itself is three instructions.
    private static var emptyPair: UInt64 { 3 }

    /// Does `operation` once. - Returns: what it returned, and its instructions.
    @inline(__always)
    static func count<Result>(_ operation: () -> Result) -> (result: Result, ticks: UInt64) {
        let interrupts = X86Platform.disableInterrupts()
        let start = x86_sample_time_stamp()
        let result = operation()
        let end = x86_sample_time_stamp()
        X86Platform.restoreInterrupts(interrupts)
        return (result, end &- start &- emptyPair)
    }

    /// Prints what is counted for code of known length, and ends the kernel where that is not its length.
    @inline(never)
    static func checkCalibration() {
        // Twice each: the first time QEMU still translates the code, which costs no tick and must not.
        var empty: UInt64 = 0
        var nops: UInt64 = 0
        var countdown: UInt64 = 0
        for _ in 0..<2 {
            empty = count {}.ticks &+ emptyPair
            nops = count { x86_thousand_nops() }.ticks
            countdown = count { x86_count_down_from_thousand() }.ticks
        }
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
}
