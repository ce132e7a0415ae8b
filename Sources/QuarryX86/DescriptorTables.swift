import MemoryPrimitives
import X86

/// Segment selectors of the kernel's GDT.
public enum Selector {
    public static var code: UInt16 { 8 }
    public static var task: UInt16 { 40 }
}

/// The interrupt stack table's entries: stacks that the CPU switches to by itself (Intel SDM vol. 3, 6.14.5).
public enum InterruptStack: UInt8, CaseIterable {
    case doubleFault = 1
    case pageFault = 2
    case nonMaskableInterrupt = 3
    case machineCheck = 4
    case interrupt = 5

    /// One past the stack's last byte.
    public var end: UInt {
        switch self {
        case .doubleFault: double_fault_stack_end_address()
        case .pageFault: page_fault_stack_end_address()
        case .nonMaskableInterrupt: nmi_stack_end_address()
        case .machineCheck: machine_check_stack_end_address()
        case .interrupt: interrupt_stack_end_address()
        }
    }

    /// The unmapped page below the stack.
    public var guardPage: UInt {
        switch self {
        case .doubleFault: double_fault_stack_guard_address()
        case .pageFault: page_fault_stack_guard_address()
        case .nonMaskableInterrupt: nmi_stack_guard_address()
        case .machineCheck: machine_check_stack_guard_address()
        case .interrupt: interrupt_stack_guard_address()
        }
    }

    /// The stack of a vector, or nil for those that stay on the stack they interrupt.
    ///
    /// Devices' interrupts have one of their own: a push onto a stack that has to grow for it would lose them.
    public init?(vector: Int) {
        switch vector {
        case 2: self = .nonMaskableInterrupt
        case 8: self = .doubleFault
        case 14: self = .pageFault
        case 18: self = .machineCheck
        case DescriptorTables.exceptionCount...: self = .interrupt
        default: return nil
        }
    }
}

/// GDT, TSS and IDT: where the CPU finds its segments, its stacks and its handlers.
public enum DescriptorTables {
    /// Vectors that are the CPU's own.
    public static let exceptionCount = 32
    /// Exceptions, and the lines of both interrupt controllers behind them.
    public static let vectorCount = exceptionCount + InterruptController.lineCount

    public static func load() {
        fillGlobalDescriptors()
        fillTaskState()
        fillInterruptDescriptors()
        x86_load_gdt(descriptor_gdt_address(), 8 * 7 - 1)
        x86_load_idt(descriptor_idt_address(), UInt16(16 * vectorCount - 1))
        x86_load_task_register(Selector.task)
    }

    private static func fillGlobalDescriptors() {
        let tss = UInt64(descriptor_tss_address())
        // With the accessed bit set, which the CPU would otherwise set itself: the table becomes read-only.
        set(descriptor_gdt_address(), 0, 0)
        set(descriptor_gdt_address(), 1, 0x00af_9b00_0000_ffff)  // 64-bit code, ring 0
        set(descriptor_gdt_address(), 2, 0x00cf_9300_0000_ffff)  // data, ring 0
        set(descriptor_gdt_address(), 3, 0x00af_fb00_0000_ffff)  // 64-bit code, ring 3
        set(descriptor_gdt_address(), 4, 0x00cf_f300_0000_ffff)  // data, ring 3
        // An available 64-bit TSS of 104 bytes (Intel SDM vol. 3, 7.2.3): base and limit lie in pieces.
        let low = 103 | (tss & 0xff_ffff) << 16 | 0x89 << 40 | (tss >> 24 & 0xff) << 56
        set(descriptor_gdt_address(), 5, low)
        set(descriptor_gdt_address(), 6, tss >> 32)
    }

    /// The TSS holds 32-bit halves at offsets that are multiples of four, not eight (Intel SDM vol. 3, 7.7).
    private static func fillTaskState() {
        for stack in 1...5 {
            guard let stack = InterruptStack(rawValue: UInt8(stack)) else { continue }
            let offset = 36 + 8 * UInt(stack.rawValue - 1)
            setHalf(descriptor_tss_address() + offset, UInt32(truncatingIfNeeded: stack.end))
            setHalf(descriptor_tss_address() + offset + 4, UInt32(truncatingIfNeeded: stack.end >> 32))
        }
        // The I/O map would begin past the limit: there is none.
        setHalf(descriptor_tss_address() + 100, 104 << 16)
    }

    /// Interrupt gates: interrupts are off when a handler starts (Intel SDM vol. 3, 6.14.1).
    private static func fillInterruptDescriptors() {
        for vector in 0..<vectorCount {
            let handler = stub(ofVector: vector)
            let stack = UInt64(InterruptStack(vector: vector)?.rawValue ?? 0)
            let low =
                (handler & 0xffff) | UInt64(Selector.code) << 16 | stack << 32 | 0x8e << 40
                | (handler >> 16 & 0xffff) << 48
            set(descriptor_idt_address(), 2 * vector, low)
            set(descriptor_idt_address(), 2 * vector + 1, handler >> 32)
        }
    }

    /// The address of what boot/interrupts.S has for a vector.
    private static func stub(ofVector vector: Int) -> UInt64 {
        let isException = vector < exceptionCount
        let table = isException ? exception_stubs_address() : interrupt_stubs_address()
        return x86_load64(table + 8 * UInt(isException ? vector : vector - exceptionCount))
    }

    private static func set(_ table: UInt, _ index: Int, _ value: UInt64) {
        x86_store64(table + 8 * UInt(index), value)
    }

    private static func setHalf(_ address: UInt, _ value: UInt32) {
        for byte in 0..<4 { x86_store8(address + UInt(byte), UInt8(truncatingIfNeeded: value >> UInt32(8 * byte))) }
    }
}
