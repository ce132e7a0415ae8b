import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Testing

@testable import KernelMemory
@testable import VirtualMemory

/// The allocators' calls as methods of a class that can be copied, which the testing macros can take apart. They run on
/// the CPU that the thread is, so callers are within `run`.
extension KernelMachine {
    func kmalloc(_ byteCount: UInt, _ flags: AllocationFlags = .kernel) -> UnsafeMutableRawPointer? {
        memory.value.kmalloc.value.allocate(byteCount, flags: flags)
    }

    func kfree(_ pointer: UnsafeMutableRawPointer?) { memory.value.kmalloc.value.free(pointer) }

    func vmalloc(
        _ byteCount: UInt, _ flags: AllocationFlags = .kernel, populate: Bool = false
    ) -> VirtualAddress? {
        memory.value.vmalloc.value.allocate(byteCount, flags: flags, populate: populate)
    }

    func vfree(_ address: VirtualAddress?) { memory.value.vmalloc.value.free(address) }

    func allocateFrames(_ order: Int, _ flags: AllocationFlags = .kernel) -> PageFrameNumber? {
        memory.value.frames.value.allocate(order: order, flags: flags)
    }

    func freeFrames(_ frame: PageFrameNumber, _ order: Int) { memory.value.frames.value.free(frame, order: order) }

    func makeStack(pages: UInt) -> StackBox? {
        guard let stack = TestedStack(pageCount: pages, name: "test", from: memory.value.stacks) else { return nil }
        return StackBox(stack)
    }

    /// Empties the magazines and frame caches of all CPUs and gives free slabs back, while no CPU allocates.
    func drain() {
        memory.value.stacks.value.shrink()
        emptyStackReserve()
        memory.value.vmalloc.value.ranges.giveUpResting()
        memory.value.kmalloc.value.shrink()
        memory.value.frames.value.drainFrameCaches()
    }

    /// Gives back the frames that wait for stacks to grow, which are promised again: where they lie is chance.
    private func emptyStackReserve() {
        var count = 0
        while let frame = memory.value.stacks.value.reserve.take() {
            memory.value.frames.value.free(frame, order: 0)
            count += 1
        }
        if !memory.value.frames.value.promise(frames: count) { Issue.record("the reserve's promises") }
    }

    /// Every counter that a call which fails must leave as it was.
    struct Counters: Equatable {
        var freeBlocks: [FreeBlocks]
        var promised: UInt
        var tables: Int
        var areas: AreaStatistics
        var largeBlocks: Int
        /// For each cache: objects in use, objects in magazines, objects of all slabs.
        var objects: [[Int]]
    }

    func counters() -> Counters {
        let blocks = freeBlocks()
        return run {
            Counters(
                freeBlocks: blocks, promised: memory.value.frames.value.promisedFrames,
                tables: memory.value.pageTables.value.tableCount, areas: memory.value.vmalloc.value.statistics.areas,
                largeBlocks: memory.value.kmalloc.value.largeBlockCount,
                objects: objects())
        }
    }

    private func objects() -> [[Int]] {
        var all: [[Int]] = []
        memory.value.kmalloc.value.forEachCache { cache in
            let figures = cache.statistics
            all.append([figures.activeObjects, figures.cachedObjects, figures.totalObjects])
        }
        return all
    }

    /// Takes frames until only `count` are free and not promised; they go back when `body` is over.
    func withFramesLeft<Result>(_ count: UInt, _ body: () throws -> Result) rethrows -> Result {
        var taken: [PageFrameNumber] = []
        run {
            let frames = memory.value.frames
            while frames.value.freeFrames - frames.value.promisedFrames > count, let frame = allocateFrames(0) {
                taken.append(frame)
            }
        }
        defer { run { for frame in taken { freeFrames(frame, 0) } } }
        return try body()
    }
}

/// A kernel stack, which cannot be copied, for arrays.
final class StackBox {
    private var stack: TestedStack?
    let limit: VirtualAddress
    let top: VirtualAddress

    init(_ stack: consuming TestedStack) {
        limit = stack.limit
        top = stack.top
        self.stack = consume stack
    }

    func free() { stack.take()?.free() }
}
