import MemoryPrimitives
import VirtualMemory
import X86

/// Where every exception arrives: `boot/interrupts.S` calls it on the interrupted stack or on the exception's own.
@c(exception_dispatch)
func dispatchException(_ frameAddress: UInt) {
    // boot/interrupts.S passes its stack pointer, where it has pushed an ExceptionFrame.
    guard let frame = unsafe UnsafeMutablePointer<ExceptionFrame>(bitPattern: frameAddress) else { return }
    // What runs now must not wait. An exception that ends the kernel never leaves this context.
    X86Platform.enterAtomicContext()
    switch unsafe frame.pointee.vector {
    case 14: unsafe PageFaultHandler.handle(frame)
    case 8: unsafe Exceptions.doubleFault(frame)
    case 3 where unsafe Exceptions.breakpointHandler != nil: unsafe Exceptions.breakpointHandler?()
    default: unsafe Exceptions.fatal(frame)
    }
    X86Platform.leaveAtomicContext()
}

/// Exceptions other than page faults: they end the kernel, each reported as what it is.
enum Exceptions {
    /// Answers breakpoints, which then do not end the kernel: for tests of what a handler may do. (A Swift closure that may
    /// be nil would be boxed at `-Onone`.)
    nonisolated(unsafe) static var breakpointHandler: (@convention(c) () -> Void)?

    /// What crash tests have a handler do before it reports: to fault, or to use up the stack that it stands on.
    nonisolated(unsafe) static var planted: (@convention(c) () -> Void)?

    static func doPlanted() {
        guard let action = unsafe planted else { return }
        unsafe planted = nil
        action()
    }

    static func fatal(_ frame: UnsafePointer<ExceptionFrame>) -> Never {
        doPlanted()
        FatalReport.begin()
        let vector = unsafe frame.pointee.vector
        let code: ExitCode
        switch vector {
        case 6 where unsafe isSwiftTrap(at: frame.pointee.rip):
            // Overflow, a failed precondition, an index out of range: Swift executes ud2 for each.
            Log.fatal("Swift runtime trap (invalid opcode, vector 6: ud2)")
            code = .swiftTrap
        case 2:
            unsafe printHeading(frame)
            code = .nonMaskableInterrupt
        case 18:
            unsafe printHeading(frame)
            code = .machineCheck
        default:
            unsafe printHeading(frame)
            unsafe FaultExplanation.write(frame)
            code = .unhandledException
        }
        unsafe finish(frame, code)
    }

    /// A double fault is what a CPU makes of an exception that it could not deliver: mostly a stack that ran out.
    static func doubleFault(_ frame: UnsafePointer<ExceptionFrame>) -> Never {
        doPlanted()
        FatalReport.begin()
        let address = UInt(x86_read_cr2())
        let stackPointer = unsafe frame.pointee.rsp
        if let (stack, mishap) = StackReport.mishap(at: address, stackPointer: stackPointer), mishap == .overflow {
            StackReport.print(stack, mishap, stackPointer: stackPointer)
            unsafe finish(frame, .stackOverflow)
        }
        unsafe printHeading(frame)
        Log.fatal("last page-fault address \(hex: address, digits: 16): \(describing: address)")
        unsafe finish(frame, .doubleFault)
    }

    static func printHeading(_ frame: UnsafePointer<ExceptionFrame>) {
        unsafe Log.fatal("\(frame.pointee.name) (vector \(frame.pointee.vector))")
        unsafe Log.fatal("error code \(hex: frame.pointee.errorCode)\(selectorError: frame.pointee)")
    }

    /// Registers, backtrace, end.
    static func finish(_ frame: UnsafePointer<ExceptionFrame>, _ code: ExitCode) -> Never {
        unsafe Log.fatal("at \(code: frame.pointee.rip)")
        unsafe FatalReport.printRegisters(frame)
        unsafe Backtrace.print(
            rip: frame.pointee.rip, framePointer: frame.pointee.rbp, stackPointer: frame.pointee.rsp)
        FatalReport.end(code)
    }

    private static func isSwiftTrap(at rip: UInt) -> Bool {
        SymbolTable.symbol(containing: rip) != nil && x86_load8(rip) == 0x0f && x86_load8(rip + 1) == 0x0b
    }
}

extension LogMessage.Interpolation {
    /// The error code of exceptions that name a segment (Intel SDM vol. 3, 6.13); nothing for the others.
    mutating func appendInterpolation(selectorError frame: ExceptionFrame) {
        guard (10...13).contains(frame.vector), frame.errorCode != 0 else { return }
        let table: StaticString =
            frame.errorCode & 2 != 0 ? "IDT" : (frame.errorCode & 4 != 0 ? "LDT" : "GDT")
        appendInterpolation(": entry " as StaticString)
        appendInterpolation(frame.errorCode >> 3 & 0x1fff)
        appendInterpolation(" of the " as StaticString)
        appendInterpolation(table)
        if frame.errorCode & 1 != 0 { appendInterpolation(", external" as StaticString) }
    }
}
