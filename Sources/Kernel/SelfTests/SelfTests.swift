import KernelMemory
import MemoryPrimitives
import PageFrames
import X86

/// Runs every self test, floor by floor.
enum SelfTests {
    /// What the tests need: blocks of every order, and enough to fill and empty.
    private static var neededFrames: UInt { (14 << 20) / PageSize.byteCount }

    /// Whether the machine has as much memory as they need.
    static func canRun(_ memory: Permanent<KernelMemory<X86Platform>>) -> Bool {
        memory.value.frames.value.managedFrames >= neededFrames
    }

    static func run(_ memory: Permanent<KernelMemory<X86Platform>>) {
        let managed = memory.value.frames.value.managedFrames
        if !canRun(memory) {
            FatalReport.panic(
                """
                too little memory for the self tests: \(managed) page frames, \(neededFrames) are needed; \
                selftest=no boots without them
                """, .tooLittleMemory)
        }
        ExceptionTests.run(memory)
        InterruptTests.run(memory)
        PageFrameTests.run(memory)
        FrameCheckTests.run(memory)
        ShrinkerTests.run(memory)
        PageFrameCallTests.run(memory)
        ContiguousTests.run(memory)
        LayoutTests.run(memory)
        PagingTests.run(memory)
        TableSequenceTests.run(memory)
        KmallocTests.run(memory)
        GuardedObjectTests.run(memory)
        SlabCheckTests.run(memory)
        CacheTests.run(memory)
        VmallocTests.run(memory)
        StackTests.run(memory)
        DemandTests.run(memory)
        DeviceMappingTests.run(memory)
        DMATests.run(memory)
        SwiftObjectTests.run(memory)
        BenchmarkTests.run()
    }
}
