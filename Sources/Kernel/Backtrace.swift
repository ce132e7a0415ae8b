import X86

/// The chain of callers, followed through saved frame pointers.
enum Backtrace {
    static let maximumDepth = 32

    /// Prints the callers of the code that was at `rip` with `framePointer` in rbp. Where `rip` is outside the kernel's
    /// code (a call through a bad pointer), the return address at `stackPointer` says who called.
    ///
    /// Every link is checked before it is followed (aligned, and mapped), and the depth is bounded: a damaged stack must
    /// not be the end of the report.
    static func print(rip: UInt, framePointer: UInt, stackPointer: UInt = 0) {
        Log.plain("backtrace:")
        Log.plain("  #0 \(code: rip)")
        var depth = 1
        if KernelAddress.imagePart(rip) != .code, isReadable(stackPointer) {
            Log.plain("  #1 \(caller: UInt(x86_load64(stackPointer)))")
            depth += 1
        }
        var frame = framePointer
        while depth < maximumDepth {
            guard isReadable(frame), isReadable(frame &+ 8) else { return }
            let caller = UInt(x86_load64(frame &+ 8))
            if caller == 0 { return }
            Log.plain("  #\(depth) \(caller: caller)")
            depth += 1
            let next = UInt(x86_load64(frame))
            if next == 0 || next == frame { return }
            frame = next
        }
        Log.plain("  (more)")
    }

    /// Prints the callers of the function whose frame pointer is given, for reports that no exception brought about.
    static func printCallers(ofFrame framePointer: UInt) {
        print(rip: UInt(x86_load64(framePointer + 8)), framePointer: UInt(x86_load64(framePointer)))
    }

    /// Calls `body` with the return addresses of the callers of the function whose frame pointer is given, the nearest
    /// first, until it answers false.
    static func forEachCaller(ofFrame framePointer: UInt, _ body: (UInt) -> Bool) {
        var frame = framePointer
        while isReadable(frame), isReadable(frame &+ 8) {
            let caller = UInt(x86_load64(frame &+ 8))
            if caller == 0 || !body(caller) { return }
            let next = UInt(x86_load64(frame))
            // Callers' frames lie above: what leads elsewhere is no chain.
            if next <= frame { return }
            frame = next
        }
    }

    private static func isReadable(_ address: UInt) -> Bool { address & 7 == 0 && KernelAddress.isReadable(address) }
}
