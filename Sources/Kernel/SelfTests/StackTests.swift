import KernelMemory
import MemoryPrimitives
import Paging
import VirtualMemory
import X86

/// Kernel stacks with the CPU's own page faults.
enum StackTests {
    typealias Memory = Permanent<KernelMemory<X86Platform>>

    static func run(_ memory: Memory) {
        SelfTest.run("kernel stacks: limits, paint and high-water mark") { stacks(memory) }
        SelfTest.run("kernel stacks: they grow when they are touched, and are kept ready") { growth(memory) }
        SelfTest.run("kernel stacks: they grow while a lock of memory management is held") { underLocks(memory) }
        SelfTest.run("kernel stacks: one whose permissions were changed is given back") { changed(memory) }
        SelfTest.run("kernel stacks: the main stack grows") { mainStack(memory) }
    }

    private static func stacks(_ memory: Memory) {
        let free = VmallocTests.settledFreeFrames(memory)
        guard let stack = KernelStack<X86Platform>(name: "test", from: memory.value.stacks) else {
            return SelfTest.expect(false, "a stack")
        }
        let usual = memory.value.stacks.value.options.pageCount * PageSize.byteCount
        SelfTest.expect(stack.byteCount, equals: usual, "a stack has the size that was asked for")
        SelfTest.expect(stack.highWaterMark, equals: 0, "an unused stack is all paint")
        stack.run({ StackTests.useLittle($0) }, stack.limit.rawValue)
        let used = stack.highWaterMark
        SelfTest.expect(used >= 1000 && used < 8192, "the high-water mark shows what was used")
        SelfTest.expect(stack.stackRemaining(below: stack.limit + 100), equals: 100, "what is left is counted")
        stack.free()
        VmallocTests.expectFree(memory, free)
        SelfTest.expect(MainStack.stackRemaining > 0, "the tests run on the main stack")
    }

    /// Writes a kilobyte below its own frame's end.
    private static func useLittle(_ limit: UInt) {
        x86_store64(x86_stack_pointer() - 1024, 1)
        SelfTest.expect(x86_stack_pointer() > limit, "code runs on the new stack")
    }

    private static func growth(_ memory: Memory) {
        let free = VmallocTests.settledFreeFrames(memory)
        guard let stack = KernelStack<X86Platform>(name: "test", from: memory.value.stacks) else {
            return SelfTest.expect(false, "a stack")
        }
        let before = memory.value.stacks.value.figures.growths
        SelfTest.expect(stack.mappedByteCount, equals: PageSize.byteCount, "the top page alone is there at first")
        stack.run({ StackTests.use(downTo: $0) }, stack.limit.rawValue + 512)
        SelfTest.expect(stack.mappedByteCount, equals: stack.byteCount, "all of it is there when it was used")
        let grown = memory.value.stacks.value.figures.growths - before
        SelfTest.expect(
            grown, equals: stack.byteCount / PageSize.byteCount - 1, "one fault for each page but the top one")
        SelfTest.expect(stack.highWaterMark + 512 >= stack.byteCount - 256, "the mark is where the use ended")
        let limit = stack.limit
        stack.free()
        guard let next = KernelStack<X86Platform>(name: "next", from: memory.value.stacks) else {
            return SelfTest.expect(false, "a second stack")
        }
        SelfTest.expect(next.limit == limit, "a freed stack is the next one's")
        SelfTest.expect(next.highWaterMark, equals: 0, "what was used is painted over")
        next.free()
        PageFrameTests.checkInvariants(memory)
        VmallocTests.expectFree(memory, free)
    }

    /// Uses the stack that it runs on, a frame at a time, until the stack pointer is below `lowest`.
    @inline(never)
    static func use(downTo lowest: UInt) {
        if x86_stack_pointer() < lowest + 256 { return }
        use(downTo: lowest)
        // Not the last call, which could be a jump.
        x86_store8(x86_stack_pointer() - 8, 1)
    }

    nonisolated(unsafe) private static var heldLock: UInt8 = 0

    /// With each lock held in turn, a new stack is used to its end by code that holds it.
    private static func underLocks(_ memory: Memory) {
        let free = VmallocTests.settledFreeFrames(memory)
        var number: UInt8 = 0
        while let lock = MemoryLock(rawValue: number) {
            unsafe heldLock = number
            // Not one that has grown before.
            memory.value.stacks.value.shrink()
            guard let stack = KernelStack<X86Platform>(name: lock.name, from: memory.value.stacks) else {
                return SelfTest.expect(false, "a stack")
            }
            stack.run({ StackTests.useWithLock($0) }, stack.limit.rawValue + 1024)
            SelfTest.expect(stack.mappedByteCount, equals: stack.byteCount, lock.name)
            stack.free()
            number += 1
        }
        PageFrameTests.checkInvariants(memory)
        VmallocTests.expectFree(memory, free)
    }

    private static func useWithLock(_ lowest: UInt) {
        guard let memory = unsafe Quarry.memory, let lock = unsafe MemoryLock(rawValue: heldLock) else { return }
        memory.value.withHeld(lock, for: VirtualAddress(lowest)) { use(downTo: lowest) }
    }

    /// The direct map shows the page read-only, too: nothing may write to its frame before the stack is taken apart.
    private static func changed(_ memory: Memory) {
        memory.value.stacks.value.shrink()
        let free = VmallocTests.settledFreeFrames(memory)
        guard let stack = KernelStack<X86Platform>(name: "test", from: memory.value.stacks) else {
            return SelfTest.expect(false, "a stack")
        }
        let top = stack.top
        x86_store64(top.rawValue - 8, 1)
        do throws(PagingError) {
            try memory.value.setMemory(VirtualRange(top - PageSize.byteCount, top), .readOnly)
        } catch {
            SelfTest.expect(false, "a page of a stack can be made read-only")
        }
        stack.free()
        SelfTest.expect(memory.value.stacks.value.figures.ready, equals: 0, "such a stack is not kept")
        PageFrameTests.checkInvariants(memory)
        // The direct map's large page may have been cut for this one, and keeps its tables.
        let kept = free - VmallocTests.settledFreeFrames(memory)
        SelfTest.expect(kept <= 2, "every frame is free again, but for tables of the direct map")
    }

    private static func mainStack(_ memory: Memory) {
        let free = VmallocTests.settledFreeFrames(memory)
        Log.info("  before, \(MainStack.highWaterMark) bytes of it had been in use")
        // As far down as an exception at the deepest point does not need.
        let lowest = MainStack.limit.rawValue + 2560
        if x86_stack_pointer() > lowest { use(downTo: lowest) }
        SelfTest.expect(MainStack.mappedByteCount, equals: MainStack.byteCount, "all of it is there when it was used")
        VmallocTests.expectFree(memory, free)
    }
}
