import MemoryPrimitives
import X86

/// The last words of a kernel that cannot go on.
///
/// Reports do not allocate, take no lock that could be held, and end the machine with a code of their own. A fault
/// while one is written is said in a line and ends the machine at once.
enum FatalReport {
    nonisolated(unsafe) private static var depth = 0

    /// Opens a report; called before its first line.
    static func begin() {
        x86_disable_interrupts()
        unsafe depth += 1
        LineBuffer.reset()
        if unsafe depth == 2 { Log.fatal("a fault within a fatal report: giving up") }
        // Where even that line faults, not a word more.
        if unsafe depth > 1 { ExitCode.panic.exit() }
    }

    /// Ends the kernel for a reason that it found itself.
    @inline(never)
    static func panic(_ reason: LogMessage, _ code: ExitCode = .panic) -> Never {
        // The message stands in LineBuffer, which begin() would clear: print it first.
        Log.fatal(reason)
        begin()
        Backtrace.printCallers(ofFrame: x86_frame_pointer())
        end(code)
    }

    static func end(_ code: ExitCode) -> Never {
        KernelLayout.logBases()
        Log.fatal("the kernel stops here (exit code \(hex: UInt(code.rawValue)))")
        endOfFatalReport(code.rawValue)
    }

    /// The registers that an exception found.
    static func printRegisters(_ frame: UnsafePointer<ExceptionFrame>) {
        let f = unsafe frame.pointee
        Log.plain("  rax \(hex: f.rax, digits: 16)  rbx \(hex: f.rbx, digits: 16)  rcx \(hex: f.rcx, digits: 16)")
        Log.plain("  rdx \(hex: f.rdx, digits: 16)  rsi \(hex: f.rsi, digits: 16)  rdi \(hex: f.rdi, digits: 16)")
        Log.plain("  rbp \(hex: f.rbp, digits: 16)  rsp \(hex: f.rsp, digits: 16)  r8  \(hex: f.r8, digits: 16)")
        Log.plain("  r9  \(hex: f.r9, digits: 16)  r10 \(hex: f.r10, digits: 16)  r11 \(hex: f.r11, digits: 16)")
        Log.plain("  r12 \(hex: f.r12, digits: 16)  r13 \(hex: f.r13, digits: 16)  r14 \(hex: f.r14, digits: 16)")
        Log.plain("  r15 \(hex: f.r15, digits: 16)  rip \(hex: f.rip, digits: 16)  rflags \(hex: f.rflags)")
        Log.plain("  cs \(hex: f.cs)  ss \(hex: f.ss)")
        Log.plain(
            """
              cr0 \(hex: UInt(x86_read_cr0()))  cr2 \(hex: UInt(x86_read_cr2()), digits: 16)  \
            cr3 \(hex: UInt(x86_read_cr3()))  cr4 \(hex: UInt(x86_read_cr4()))
            """)
    }
}

/// The end of a report: a function of its own, under this name in each build, where a debugger stops a kernel that has died
/// while all of it is there.
@c(fatal_report_end)
@inline(never)
func endOfFatalReport(_ code: UInt8) -> Never {
    guard let known = ExitCode(rawValue: code) else { ExitCode.panic.exit() }
    known.exit()
}
