import KernelMemory
import MemoryPrimitives
import PageFrames
import Slab
import VirtualMemory
import X86

/// What `exercise` has the kernel do before it prints reports: memory of each kind is taken, used in part, and some of it
/// given back, so that reports have more to tell than what bring-up left. What is not given back is kept for good.
///
/// A request that cannot be met is passed over. Nothing here is left to chance: two boots of one machine do the same.
enum Exercise {
    typealias Memory = Permanent<KernelMemory<X86Platform>>

    nonisolated(unsafe) private static var stack: KernelStack<X86Platform>?

    @inline(never)
    static func run(_ memory: Memory) {
        objects(memory)
        ownCache(memory)
        frames(memory)
        areas(memory)
        mappings(memory)
        stacks(memory)
        Log.info("exercise: memory of each kind was taken, and some given back")
    }

    /// Objects of all sizes, every third of which is freed, and blocks above the largest cache.
    @inline(never)
    private static func objects(_ memory: Memory) {
        let kmalloc = memory.value.kmalloc
        for index in 0..<3000 as Range<UInt> {
            let object = unsafe kmalloc.value.allocate(8 + index * 37 % 3000)
            if index % 3 == 0 { unsafe kmalloc.value.free(object) }
        }
        for shift in 0..<3 as Range<UInt> { _ = unsafe kmalloc.value.allocate(20_000 << (3 * shift)) }
    }

    /// A cache of its own, whose objects could be given back: half of them are freed.
    @inline(never)
    private static func ownCache(_ memory: Memory) {
        guard
            let cache = try? unsafe memory.value.kmalloc.value.makeCache(
                "exercise_cache", objectSize: 200, flags: .reclaimable | .noMerge)
        else { return }
        for index in 0..<300 {
            let object = unsafe cache.allocate()
            if index % 2 == 0 { unsafe cache.free(object) }
        }
    }

    /// Blocks of orders 0 to 6 of each group, every other of which is freed.
    @inline(never)
    private static func frames(_ memory: Memory) {
        let allocator = memory.value.frames
        for index in 0..<70 {
            let flags: AllocationFlags =
                index % 5 == 0 ? .userMovable : index % 5 == 1 ? .kernel | .reclaimable : .kernel
            guard let frame = allocator.value.allocate(order: index % 7, flags: flags) else { continue }
            if index % 2 == 0 { allocator.value.free(frame, order: index % 7) }
        }
        _ = allocator.value.allocate(order: 2, flags: .kernel | .dma)
    }

    /// Areas on demand, touched here and there, one in a large page; one that is there at once, and one that is freed.
    @inline(never)
    private static func areas(_ memory: Memory) {
        let vmalloc = memory.value.vmalloc
        if let area = vmalloc.value.allocate(256 << 10, name: "exercise on demand", caller: caller) {
            // Within the area; each touch is a page fault.
            for page in 0..<3 as Range<UInt> { x86_store64(area.rawValue + page * 80 << 10, 1) }
        }
        if let area = vmalloc.value.allocate(5 << 20, name: "exercise large") { x86_store64(area.rawValue, 1) }
        _ = vmalloc.value.allocate(40 << 10, populate: true, name: "exercise populated", caller: caller)
        let freed = vmalloc.value.allocate(24 << 10, populate: true, name: "exercise freed")
        vmalloc.value.free(freed)
    }

    /// A device's registers, and frames mapped one after the other.
    @inline(never)
    private static func mappings(_ memory: Memory) {
        let vmalloc = memory.value.vmalloc
        _ = vmalloc.value.ioremap(PhysicalAddress(0xfee0_0000), PageSize.byteCount)
        guard let frame = memory.value.frames.value.allocate(order: 1) else { return }
        // A number, for which any memory will do.
        unsafe withUnsafeTemporaryAllocation(of: PageFrameNumber.self, capacity: 2) { frames in
            unsafe frames.initializeElement(at: 0, to: PageFrameNumber(frame.rawValue + 1))
            unsafe frames.initializeElement(at: 1, to: frame)
            _ = unsafe vmalloc.value.mapFrames(UnsafeBufferPointer(frames), name: "exercise map")
        }
    }

    /// A stack that has grown by a page, and one that was freed.
    @inline(never)
    private static func stacks(_ memory: Memory) {
        if let stack = KernelStack<X86Platform>(name: "exercise", from: memory.value.stacks) {
            let top = stack.top.rawValue
            unsafe Self.stack = consume stack
            // In its second page from the top: no stack has fewer than two.
            x86_store64(top - PageSize.byteCount - 8, 1)
        }
        memory.value.stacks.value.refillReserve()
        if let stack = KernelStack<X86Platform>(name: "exercise freed", from: memory.value.stacks) { stack.free() }
    }

    /// Who has called the function that asks.
    @inline(__always)
    private static var caller: UInt { UInt(x86_load64(x86_frame_pointer() + 8)) }
}
