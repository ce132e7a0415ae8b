import MemoryPrimitives
import X86

/// Tells a stack that ran out from other faults, and names it.
enum StackOverflow {
    /// A stack as a report wants it.
    struct Stack {
        var name: StaticString
        var range: VirtualRange
        var guardPage: VirtualRange
    }

    static func isGuardPage(_ address: UInt) -> Bool { stack(guardedBy: address) != nil }

    /// Prints the overflow of the stack whose guard page holds the fault's address, or whose limit the stack pointer
    /// has passed; false where neither is a stack's.
    static func report(faultAddress: UInt, stackPointer: UInt) -> Bool {
        guard let stack = stack(guardedBy: faultAddress) ?? stack(guardedBy: stackPointer) else { return false }
        Log.fatal("stack overflow: stack \"\(stack.name)\" ran out")
        Log.fatal("stack limits \(stack.range), \(bytes: stack.range.byteCount), guard page \(stack.guardPage)")
        let end = stack.range.end.rawValue
        Log.fatal("stack pointer \(hex: stackPointer, digits: 16), depth \(end &- stackPointer) bytes")
        return true
    }

    /// The stack whose guard page holds `address`; nil where that is no stack's guard page.
    static func stack(guardedBy address: UInt) -> Stack? {
        bootStack(guardedBy: address) ?? KernelAddress.areaStack(guardedBy: address)
    }

    /// The stacks of boot/stacks.S.
    static func bootStack(guardedBy address: UInt) -> Stack? {
        func stack(_ name: StaticString, _ guardPage: UInt, _ end: UInt) -> Stack? {
            guard address >= guardPage, address < guardPage + PageSize.byteCount else { return nil }
            let limit = VirtualAddress(guardPage + PageSize.byteCount)
            return Stack(
                name: name, range: VirtualRange(limit, VirtualAddress(end)),
                guardPage: VirtualRange(VirtualAddress(guardPage), limit))
        }
        return stack("boot", boot_stack_guard_address(), boot_stack_end_address())
            ?? stack("double fault", double_fault_stack_guard_address(), double_fault_stack_end_address())
            ?? stack("page fault", page_fault_stack_guard_address(), page_fault_stack_end_address())
            ?? stack("NMI", nmi_stack_guard_address(), nmi_stack_end_address())
            ?? stack("machine check", machine_check_stack_guard_address(), machine_check_stack_end_address())
    }
}
