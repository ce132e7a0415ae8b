import KernelMemory
import MemoryPrimitives
import VirtualMemory
import X86

/// Vector 14: the first touch of on-demand memory is answered; all else is reported and ends the kernel.
///
///     fault --demand entry--> map a promised, cleared frame --> iretq, the instruction runs again
///       |--spurious (already mapped so)--> iretq
///       |--an access of `FaultProbe`--> iretq to where it goes on
///       |--guard page of a stack--> report on the double-fault stack
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
            unsafe fatal(frame, address, error, within: "a page fault within the page-fault handler")
        }
        unsafe isHandling = true
        if unsafe resolve(address, error) || FaultProbe.answer(frame, at: address.rawValue) {
            unsafe isHandling = false
            return
        }
        if StackOverflow.isGuardPage(address.rawValue) {
            // What reports a stack that ran out runs on the stack that is kept for it.
            unsafe pending = UnsafePointer(frame)
            switch_stack(InterruptStack.doubleFault.end, { _ in PageFaultHandler.reportStackOverflow() }, 0)
        }
        unsafe fatal(frame, address, error, within: nil)
    }

    private static func reportStackOverflow() -> Never {
        guard let frame = unsafe pending else { FatalReport.panic("a stack overflow without its frame") }
        FatalReport.begin()
        let address = UInt(x86_read_cr2())
        _ = unsafe StackOverflow.report(faultAddress: address, stackPointer: frame.pointee.rsp)
        Log.fatal("caught by a page fault (vector 14) on the guard page, reported on the double-fault stack")
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
        if let within { Log.fatal("this is \(within)") }
        unsafe printFault(frame, address, error)
        unsafe Exceptions.finish(frame, isGuarded ? .memoryCorruption : .pageFault)
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
    /// Answers the first touch of on-demand memory. - Returns: true where the instruction can run again.
    private static func resolve(_ address: VirtualAddress, _ error: PageFaultError) -> Bool {
        guard let memory = unsafe Quarry.memory else { return false }
        let access = FaultAccess(errorCode: UInt64(error.rawValue))
        switch memory.value.vmalloc.value.handleFault(at: address, access: access) {
        case .resolved, .spurious: return true
        case .fatal: return false
        }
    }
}
