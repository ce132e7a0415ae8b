/// The registers as an exception found them, in the order in which the CPU and `boot/interrupts.S` pushed them.
struct ExceptionFrame {
    var r15, r14, r13, r12, r11, r10, r9, r8: UInt
    var rbp, rdi, rsi, rdx, rcx, rbx, rax: UInt
    var vector: UInt
    var errorCode: UInt
    var rip, cs, rflags, rsp, ss: UInt

    /// The exception's name (Intel SDM vol. 3, table 6-1).
    var name: StaticString { Self.name(ofVector: vector) }

    static func name(ofVector vector: UInt) -> StaticString {
        switch vector {
        case 0: "divide error"
        case 1: "debug exception"
        case 2: "non-maskable interrupt"
        case 3: "breakpoint"
        case 4: "overflow"
        case 5: "bound range exceeded"
        case 6: "invalid opcode"
        case 7: "device not available"
        case 8: "double fault"
        case 10: "invalid TSS"
        case 11: "segment not present"
        case 12: "stack-segment fault"
        case 13: "general protection fault"
        case 14: "page fault"
        case 16: "x87 floating-point error"
        case 17: "alignment check"
        case 18: "machine check"
        case 19: "SIMD floating-point exception"
        case 20: "virtualization exception"
        case 21: "control protection exception"
        case 28: "hypervisor injection exception"
        case 29: "VMM communication exception"
        case 30: "security exception"
        default: "reserved exception"
        }
    }
}

/// The error code that a page fault pushes (Intel SDM vol. 3, 4.7).
struct PageFaultError: RawRepresentable {
    var rawValue: UInt

    /// The page was present and forbade the access; otherwise nothing was mapped.
    var isProtection: Bool { rawValue & 1 != 0 }
    var isWrite: Bool { rawValue & 2 != 0 }
    var isUser: Bool { rawValue & 4 != 0 }
    var isReservedBit: Bool { rawValue & 8 != 0 }
    var isInstructionFetch: Bool { rawValue & 16 != 0 }

    var access: StaticString {
        if isInstructionFetch { return "instruction fetch from" }
        return isWrite ? "write to" : "read of"
    }

    var cause: StaticString {
        if isReservedBit { return "a page whose entry has a reserved bit set" }
        return isProtection ? "a page that forbids it" : "a page that is not present"
    }

    var mode: StaticString { isUser ? "user" : "supervisor" }
}
