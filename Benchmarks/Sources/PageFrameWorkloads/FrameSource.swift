import HostSupport
import MemoryPrimitives
import PageFrames
import WorkloadSupport

/// What the workloads call: one plain function for each operation, as for every other allocator.
protocol FrameSource {
    /// - Returns: the number of the block's first frame; 0 where the request is refused.
    func allocate(order: Int) -> UInt

    func free(_ frame: UInt, order: Int)
}

/// Quarry's calls.
struct QuarryFrames: FrameSource {
    let frames: Permanent<PageFrameAllocator<HostPlatform>>

    @inline(never)
    func allocate(order: Int) -> UInt { frames.value.allocate(order: order, flags: .kernel | .noWarn)?.rawValue ?? 0 }

    @inline(never)
    func free(_ frame: UInt, order: Int) { frames.value.free(PageFrameNumber(frame), order: order) }
}

/// An allocator that does nothing: what the loops around the calls cost.
struct NullFrames: FrameSource {
    @inline(never)
    func allocate(order: Int) -> UInt { host_hide(1) }

    @inline(never)
    func free(_ frame: UInt, order: Int) { _ = host_hide(frame) }
}
