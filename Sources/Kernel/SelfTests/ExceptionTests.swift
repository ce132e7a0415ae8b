import KernelMemory
import MemoryPrimitives
import PageFrames
import VirtualMemory
import X86

/// Exceptions that come back to the code that they interrupted.
enum ExceptionTests {
    nonisolated(unsafe) private static var mayHandlerWait = true

    static func run(_ memory: Permanent<KernelMemory<X86Platform>>) {
        SelfTest.run("exceptions: a handler must not wait, and whom it returns to may") { contexts(memory) }
    }

    private static func contexts(_ memory: Permanent<KernelMemory<X86Platform>>) {
        let free = memory.value.frames.value.freeFrames
        unsafe Exceptions.breakpointHandler = { ExceptionTests.handleBreakpoint() }
        let violation = ViolationReport.expect { x86_breakpoint() }
        unsafe Exceptions.breakpointHandler = nil
        SelfTest.expect(violation?.kind == .waitInAtomicContext, "a handler's request that may wait is reported")
        SelfTest.expect(unsafe !mayHandlerWait, "a handler's context is atomic")
        SelfTest.expect(X86Platform.mayWait, "it ends with the handler")
        SelfTest.expect(memory.value.frames.value.freeFrames, equals: free, "frames are free again")
        guard let area = SelfTest.require(memory.value.vmalloc.value.allocate(4096, name: "fault"), "an area") else {
            return
        }
        let fault = ViolationReport.expect { x86_store8(area.rawValue, 1) }
        SelfTest.expect(fault == nil, "a page fault is answered without a request that may wait")
        SelfTest.expect(X86Platform.mayWait, "and its context ends, too")
        memory.value.vmalloc.value.free(area)
    }

    @inline(never)
    private static func handleBreakpoint() {
        unsafe mayHandlerWait = X86Platform.mayWait
        guard let memory = unsafe Quarry.memory else { return }
        let frames = memory.value.frames
        if let frame = frames.value.allocate(order: 0, flags: .kernel) { frames.value.free(frame, order: 0) }
    }
}
