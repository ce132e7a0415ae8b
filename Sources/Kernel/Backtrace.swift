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
        var readablePage = UInt.max
        while depth < maximumDepth {
            guard isReadableLink(frame, &readablePage) else { return }
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
        var readablePage = UInt.max
        while isReadableLink(frame, &readablePage) {
            let caller = UInt(x86_load64(frame &+ 8))
            if caller == 0 || !body(caller) { return }
            let next = UInt(x86_load64(frame))
            // Callers' frames lie above: what leads elsewhere is no chain.
            if next <= frame { return }
            frame = next
        }
    }

    /// Whether a saved frame pointer and the return address above it can be read. The links of a chain are near each other, so
    /// that the page tables are asked only where the page is another one than before.
    @inline(__always)
    private static func isReadableLink(_ frame: UInt, _ readablePage: inout UInt) -> Bool {
        if frame & 7 != 0 { return false }
        if frame >> 12 != readablePage {
            if !KernelAddress.isReadable(frame) { return false }
            readablePage = frame >> 12
        }
        if (frame &+ 8) >> 12 != readablePage {
            if !KernelAddress.isReadable(frame &+ 8) { return false }
            readablePage = (frame &+ 8) >> 12
        }
        return true
    }

    private static func isReadable(_ address: UInt) -> Bool { address & 7 == 0 && KernelAddress.isReadable(address) }
}
