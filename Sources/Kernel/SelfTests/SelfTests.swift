import KernelMemory
import MemoryPrimitives
import X86

/// Runs every self test, floor by floor.
enum SelfTests {
    static func run(_ memory: Permanent<KernelMemory<X86Platform>>) {
        PageFrameTests.run(memory)
        PagingTests.run(memory)
        KmallocTests.run(memory)
        VmallocTests.run(memory)
        SwiftObjectTests.run(memory)
    }
}
