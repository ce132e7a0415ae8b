import X86

/// The chain of callers, followed through saved frame pointers.
enum Backtrace {
    static let maximumDepth = 32

    /// Prints the callers of the code that was at `rip` with `framePointer` in rbp.
    ///
    /// Every link is checked before it is followed (aligned, in mapped kernel memory, going up): the report of a
    /// damaged stack must not be the end of the report.
    static func print(rip: UInt, framePointer: UInt) {
        Log.plain("backtrace:")
        Log.plain("  #0 \(code: rip)")
        var frame = framePointer
        for depth in 1..<maximumDepth {
            guard frame & 7 == 0, KernelAddress.isReadable(frame), KernelAddress.isReadable(frame + 15) else { return }
            let caller = UInt(x86_load64(frame + 8))
            if caller == 0 { return }
            // A call's return address is the byte after it: one less is within the function that called.
            Log.plain("  #\(depth) \(code: caller - 1)")
            let next = UInt(x86_load64(frame))
            if next == 0 || next == frame { return }
            frame = next
        }
        Log.plain("  (more)")
    }
}
