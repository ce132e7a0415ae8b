import KernelMemory
import MemoryPrimitives
import VirtualMemory
import X86

/// Vector 14: stacks grow, and the first touch of on-demand memory is answered; all else is reported and ends the kernel.
///
///     fault --page of a stack--> map a frame of the reserve, without a lock --> iretq, the instruction runs again
///       |--demand entry--> map a promised, cleared frame --> iretq, the instruction runs again
///       |--spurious (already mapped so)--> iretq
///       |--an access of `FaultProbe`--> iretq to where it goes on
///       |--guard page of a stack--> report: overflow (on the double-fault stack), underflow, or a wild pointer
///       |--page of a guarded object, or beside one--> report, with the object
///       |--anything else--> report
///
/// It stands on a stack of its own and touches nothing that is mapped on demand itself.
enum PageFaultHandler {
    nonisolated(unsafe) private static var isHandling = false
    nonisolated(unsafe) private static var pending: UnsafePointer<ExceptionFrame>?

    /// `isHandling` stays set once a fault is fatal: one more, while it is looked into, is said and ends the kernel.
    static func handle(_ frame: UnsafeMutablePointer<ExceptionFrame>) {
        let address = VirtualAddress(UInt(x86_read_cr2()))
        let error = unsafe PageFaultError(rawValue: frame.pointee.errorCode)
        // The stack is entered at its top each time: a second fault has overwritten the first one's frame.
        if unsafe isHandling {
            unsafe reportOverflow(frame, address)
            unsafe fatal(frame, address, error, within: "a page fault within the page-fault handler")
        }
        unsafe isHandling = true
        if unsafe resolve(address, error, frame.pointee.rip) || FaultProbe.answer(frame, at: address.rawValue) {
            unsafe isHandling = false
            return
        }
        Exceptions.doPlanted()
        unsafe reportOverflow(frame, address)
        unsafe fatal(frame, address, error, within: nil)
    }

    /// Reports a stack that ran out, and comes back where none did: on the double-fault stack, which is kept for that, unless
    /// it is the one.
    private static func reportOverflow(_ frame: UnsafeMutablePointer<ExceptionFrame>, _ address: VirtualAddress) {
        let stackPointer = unsafe frame.pointee.rsp
        guard let (stack, mishap) = StackReport.mishap(at: address.rawValue, stackPointer: stackPointer),
            mishap == .overflow
        else { return }
        unsafe pending = UnsafePointer(frame)
        if stack.usable.end.rawValue == InterruptStack.doubleFault.end { reportStackOverflow() }
        switch_stack(InterruptStack.doubleFault.end, { _ in PageFaultHandler.reportStackOverflow() }, 0)
    }

    private static func reportStackOverflow() -> Never {
        guard let frame = unsafe pending else { FatalReport.panic("a stack overflow without its frame") }
        FatalReport.begin()
        let address = UInt(x86_read_cr2())
        let stackPointer = unsafe frame.pointee.rsp
        if let (stack, mishap) = StackReport.mishap(at: address, stackPointer: stackPointer) {
            StackReport.print(stack, mishap, stackPointer: stackPointer)
        }
        Log.fatal("caught by a page fault (vector 14) on the guard page")
        unsafe printFault(frame, VirtualAddress(address), PageFaultError(rawValue: frame.pointee.errorCode))
        unsafe Exceptions.finish(frame, .stackOverflow)
    }

    private static func fatal(
        _ frame: UnsafePointer<ExceptionFrame>, _ address: VirtualAddress, _ error: PageFaultError,
        within: StaticString?
    ) -> Never {
        FatalReport.begin()
        let isGuarded = unsafe within == nil && GuardedReport.write(address, error, frame)
        Log.fatal("page fault (vector 14)")
        unsafe printStack(frame, address)
        if let within { Log.fatal("this is \(within)") }
        unsafe printFault(frame, address, error)
        unsafe Exceptions.finish(frame, isGuarded ? .memoryCorruption : .pageFault)
    }

    /// What the fault has to do with a stack, where it has.
    @inline(never)
    private static func printStack(_ frame: UnsafePointer<ExceptionFrame>, _ address: VirtualAddress) {
        let stackPointer = unsafe frame.pointee.rsp
        if let (stack, mishap) = StackReport.mishap(at: address.rawValue, stackPointer: stackPointer) {
            StackReport.print(stack, mishap, stackPointer: stackPointer)
        } else if let memory = unsafe Quarry.memory, memory.value.stacks.value.isDue(at: address),
            let stack = StackReport.stack(of: address.rawValue)
        {
            Log.fatal("stack \"\(stack.name)\" cannot grow: the reserve of frames is empty")
            StackReport.printLimits(of: stack)
            Log.fatal("stacks were grown without refillReserve() in between")
        }
    }

    private static func printFault(
        _ frame: UnsafePointer<ExceptionFrame>, _ address: VirtualAddress, _ error: PageFaultError
    ) {
        Log.fatal("error code \(hex: error.rawValue): \(error.mode) \(error.access) \(error.cause)")
        Log.fatal("address \(address): \(describing: address.rawValue)")
        FaultExplanation.write(address.rawValue, error)
    }
}

extension PageFaultHandler {
    /// Has a stack grow, or answers the first touch of on-demand memory. - Returns: true where the instruction can run again.
    private static func resolve(_ address: VirtualAddress, _ error: PageFaultError, _ instruction: UInt) -> Bool {
        if X86Platform.isTracing { return resolveTraced(address, error, instruction) }
        return resolve(address, error)
    }

    @inline(never)
    private static func resolveTraced(
        _ address: VirtualAddress, _ error: PageFaultError, _ instruction: UInt
    ) -> Bool {
        traceFault(address, error, instruction)
        return X86Platform.withinTracedCall { resolve(address, error) }
    }

    @inline(never)
    private static func traceFault(_ address: VirtualAddress, _ error: PageFaultError, _ instruction: UInt) {
        var event = TraceEvent(.pageFault, address.rawValue)
        event.size = UInt(error.rawValue)
        event.caller = instruction
        X86Platform.trace(event)
    }

    private static func resolve(_ address: VirtualAddress, _ error: PageFaultError) -> Bool {
        guard let memory = unsafe Quarry.memory else { return false }
        let access = FaultAccess(errorCode: UInt64(error.rawValue))
        return memory.value.resolvePageFault(at: address, access: access)
    }
}
