import KernelMemory
import MemoryPrimitives
import VirtualMemory
import X86

// Ends that stacks bring about.
extension CrashTest {
    @inline(never)
    func misuseStack(_ memory: Memory) {
        switch self {
        case .kernelStackOverflow, .stackUnderflow: leaveStack(memory, { _ in _ = CrashTest.recurse(1) })
        case .pageFaultStackOverflow:
            unsafe Exceptions.planted = { _ = CrashTest.recurse(1) }
            x86_store8(8, 1)
        case .doubleFaultStackOverflow:
            unsafe Exceptions.planted = { _ = CrashTest.recurse(1) }
            x86_raise_double_fault()
        case .interruptStackOverflow:
            unsafe Exceptions.planted = { _ = CrashTest.recurse(1) }
            x86_raise_vector2()
        case .machineCheckStackOverflow:
            unsafe Exceptions.planted = { _ = CrashTest.recurse(1) }
            x86_raise_vector18()
        case .deviceInterruptStackOverflow:
            unsafe Exceptions.planted = { _ = CrashTest.recurse(1) }
            // A line of the interrupt controllers on which nobody listens, behind the 32 exceptions.
            x86_raise_vector37()
        case .nestedFault:
            unsafe Exceptions.planted = { x86_store8(0x10, 1) }
            x86_store8(8, 1)
        case .stackGuardLeading: _ = x86_load8(MainStack.limit.rawValue - 1)
        case .stackGuardTrailing: _ = x86_load8(MainStack.limit.rawValue + MainStack.byteCount)
        case .stackGuardForeign:
            if let stack = KernelStack<X86Platform>(name: "other", from: memory.value.stacks) {
                x86_store8(stack.limit.rawValue - 1, 1)
            }
        case .corruptStack: Self.corruptStack(x86_hide(256))
        case .stackCanary:
            ImageStack.pageFault.damageCanary()
            ImageStack.checkCanaries("by the crash test")
        case .stackReserveEmpty: Self.emptyReserve(memory)
        default: overflowInLock(memory)
        }
    }

    /// Runs `body` on a stack, or has the stack pointer lie above that stack's top, where the first push is.
    private func leaveStack(_ memory: Memory, _ body: @convention(c) (UInt) -> Void) {
        if self != .stackUnderflow { return Self.runOnStack(memory, body) }
        if let stack = KernelStack<X86Platform>(name: "crash test", from: memory.value.stacks) {
            switch_stack(stack.top.rawValue + 64, body, 0)
        }
    }

    private static func runOnStack(_ memory: Memory, _ body: @convention(c) (UInt) -> Void) {
        if let stack = KernelStack<X86Platform>(name: "crash test", from: memory.value.stacks) {
            stack.run(body, stack.limit.rawValue)
        }
    }

    /// Overruns a buffer on the stack, up to the return address and beyond.
    @inline(never)
    private static func corruptStack(_ byteCount: UInt) {
        // Bytes, for which any memory will do.
        unsafe withUnsafeTemporaryAllocation(byteCount: 64, alignment: 16) { buffer in
            let start = UInt(bitPattern: buffer.baseAddress)
            for offset in 0..<byteCount { x86_store8(start + offset, 0x42) }
        }
    }

    /// Grows stacks that nobody runs on, one after the other.
    @inline(never)
    private static func emptyReserve(_ memory: Memory) {
        // Making a stack fills the reserve: so all are made first.
        var limits = InlineArray<4, UInt>(repeating: 0)
        for index in 0..<4 {
            guard let stack = KernelStack<X86Platform>(name: "idle", from: memory.value.stacks) else { return }
            limits[index] = stack.limit.rawValue
        }
        let pages = memory.value.stacks.value.options.pageCount
        for index in 0..<4 {
            for page in 0..<pages { _ = x86_load8(limits[index] + page * PageSize.byteCount) }
        }
    }

    nonisolated(unsafe) private static var lock = MemoryLock.fault

    /// Uses a stack up with a lock of memory management held: all pages by which it can grow, and then the guard page.
    private func overflowInLock(_ memory: Memory) {
        switch self {
        case .overflowInFaultLock: unsafe Self.lock = .fault
        case .overflowInRangesLock: unsafe Self.lock = .ranges
        case .overflowInTablesLock: unsafe Self.lock = .pageTables
        case .overflowInCacheLock: unsafe Self.lock = .cache
        case .overflowInFrameCacheLock: unsafe Self.lock = .frameCache
        case .overflowInZoneLock: unsafe Self.lock = .zone
        default: return
        }
        Self.runOnStack(memory, { limit in CrashTest.recurseLocked(limit) })
    }

    private static func recurseLocked(_ limit: UInt) {
        guard let memory = unsafe Quarry.memory else { return }
        // The page above the guard page and the guard page itself have locks of their own: hold the latter.
        memory.value.withHeld(unsafe lock, for: VirtualAddress(limit - 8)) {
            unsafe Log.warning("holding the lock \"\(lock.name)\"")
            _ = recurse(1)
        }
    }
}
