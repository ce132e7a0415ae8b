/// The registers as an exception found them, in the order in which the CPU and `boot/interrupts.S` pushed them.
public struct ExceptionFrame {
    public var r15, r14, r13, r12, r11, r10, r9, r8: UInt
    public var rbp, rdi, rsi, rdx, rcx, rbx, rax: UInt
    public var vector: UInt
    public var errorCode: UInt
    public var rip, cs, rflags, rsp, ss: UInt

    /// The frame that boot/interrupts.S passes to `exception_dispatch`: valid until that returns, and what is written there is
    /// what the interrupted code goes on with.
    @unsafe
    public static func at(_ address: UInt) -> UnsafeMutablePointer<ExceptionFrame> {
        // By the contract: the stub's stack pointer, where it has pushed a frame.
        unsafe UnsafeMutablePointer(bitPattern: address).unsafelyUnwrapped
    }

    /// The exception's name (Intel SDM vol. 3, table 6-1).
    public var name: StaticString { Self.name(ofVector: vector) }

    public static func name(ofVector vector: UInt) -> StaticString {
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
