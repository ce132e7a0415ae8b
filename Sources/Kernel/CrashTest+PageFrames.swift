import KernelMemory
import MemoryPrimitives
import PageFrames
import X86

// Ends that checks of page frames bring about, each with the word that chooses the check.
extension CrashTest {
    /// With `page_poison=1`: a frame is written after it was freed, which is found when it is handed out again.
    static func writeAfterFree(_ memory: Memory) {
        let frames = memory.value.frames
        guard let frame = frames.value.allocate(order: 0, flags: .kernel) else { return }
        let address = memory.value.directMap.virtualAddress(of: frame.address).rawValue
        frames.value.free(frame, order: 0)
        x86_store8(address + 0x123, 0x42)
        x86_store8(address + 0x456, 0x43)
        _ = frames.value.allocate(order: 0, flags: .kernel)
    }

    /// With `debug_guardpage`: a byte behind a block of two frames is written, which is found when the block is freed.
    static func overrun(_ memory: Memory) {
        let frames = memory.value.frames
        guard let frame = frames.value.allocate(order: 1, flags: .kernel) else { return }
        x86_store8(memory.value.directMap.virtualAddress(of: frame.address).rawValue + 2 * PageSize.byteCount + 7, 0x42)
        frames.value.free(frame, order: 1)
    }

    /// Takes single frames until there are none for a request that must not wait, and then asks a thousand times more.
    static func exhaustAtomic(_ memory: Memory) -> Never {
        let frames = memory.value.frames
        var pages: UInt = 0
        while frames.value.allocate(order: 0, flags: .atomic) != nil { pages += 1 }
        for _ in 0..<1000 { _ = frames.value.allocate(order: 0, flags: .atomic) }
        FatalReport.panic("GFP_ATOMIC order 0: \(pages) pages then failed", .outOfMemory)
    }

    /// A request that may wait, by the holder of a spin lock: is said, with the caller, and served.
    static func waitInAtomicContext(_ memory: Memory) -> Never {
        let lock = SpinLock<X86Platform>()
        let frame = lock.withLock { memory.value.frames.value.allocate(order: 0, flags: .kernel) }
        FatalReport.panic(frame == nil ? "the request was refused" : "the request was served without waiting")
    }

    /// The same request by the handler of an exception, which holds no lock.
    @inline(never)
    static func waitInHandler() -> Never {
        unsafe Exceptions.breakpointHandler = { CrashTest.handleBreakpoint() }
        x86_breakpoint()
        FatalReport.panic(X86Platform.mayWait ? "who was interrupted may wait" : "the handler's context was not left")
    }

    @inline(never)
    private static func handleBreakpoint() {
        guard let memory = unsafe Quarry.memory else { return }
        let frame = memory.value.frames.value.allocate(order: 0, flags: .kernel)
        Log.info(frame == nil ? "the request was refused" : "the request was served without waiting")
    }
}
