import BootMemory
import MemoryPrimitives
import PageFrames
import Paging
import Slab
import VirtualMemory

/// Who is told of each step of bring-up, in this order: the kernel logs what was found and loads the new page tables;
/// a test looks at the state in between.
public protocol BringUpObserver {
    /// The platform that memory is brought up on.
    associatedtype P: Platform

    /// The memory and what is reserved of it are known; nothing has been allocated.
    mutating func bootMemoryIsReady(_ boot: borrowing BootAllocator)

    /// The kernel's own tables are built. On return the machine must be using them: the boot part of the image, with
    /// the boot tables, is free memory from here on.
    mutating func activate(_ tables: borrowing PageTables<P>)

    /// All memory is mapped, and nobody but the boot allocator hands it out: what is free may be tested, and reserved
    /// where it is bad.
    mutating func memoryIsMapped(_ boot: inout BootAllocator)

    /// Page frames have taken over all that the boot allocator has not given away.
    mutating func pageFramesAreReady(_ frames: borrowing PageFrameAllocator<P>, _ boot: borrowing BootAllocator)

    /// kmalloc stands on the page frames.
    mutating func kmallocIsReady(_ kmalloc: borrowing Kmalloc<P>)

    /// vmalloc and the stacks stand on kmalloc.
    mutating func vmallocIsReady(_ vmalloc: borrowing Vmalloc<P>)

    /// Long after bring-up: there was no memory to note an allocation down, and leaks are looked for no longer.
    static func leakDetectionEnded()
}

// Only `activate` has no default: nothing goes on without the new page tables.
extension BringUpObserver {
    /// Does nothing.
    public mutating func bootMemoryIsReady(_ boot: borrowing BootAllocator) {}

    /// Does nothing.
    public mutating func memoryIsMapped(_ boot: inout BootAllocator) {}

    /// Does nothing.
    public mutating func pageFramesAreReady(
        _ frames: borrowing PageFrameAllocator<P>, _ boot: borrowing BootAllocator
    ) {}

    /// Does nothing.
    public mutating func kmallocIsReady(_ kmalloc: borrowing Kmalloc<P>) {}

    /// Does nothing.
    public mutating func vmallocIsReady(_ vmalloc: borrowing Vmalloc<P>) {}

    /// Does nothing.
    public static func leakDetectionEnded() {}
}
