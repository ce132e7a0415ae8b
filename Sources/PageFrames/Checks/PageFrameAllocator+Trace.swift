import MemoryPrimitives
import Synchronization

// Calls that are traced: on the ways that checks take, with the frame caches off.
extension PageFrameAllocator {
    /// Has the platform told of each block that is handed out or freed, or no longer so. The frame caches are off meanwhile.
    ///
    /// - Complexity: as `drainFrameCaches()`. Callable from any context, with no lock of the page frames held.
    public func setTracing(_ isWanted: Bool) {
        checks.wantsTracing.store(isWanted, ordering: .relaxed)
        applyFrameCaches()
    }

    /// Whether the platform is told.
    public var isTraced: Bool { checks.active.contains(.tracing) }

    @inline(never)
    func traceAllocation(_ frame: PageFrameNumber, order: Int, _ flags: AllocationFlags) {
        P.trace(
            TraceEvent(
                .pageAllocation, frame.rawValue, requested: UInt(bitPattern: order), allocated: place(of: frame),
                flags: flags.rawValue))
    }

    @inline(never)
    func traceFree(_ frame: PageFrameNumber, order: Int) {
        P.trace(
            TraceEvent(
                .pageFree, frame.rawValue, requested: UInt(bitPattern: order), allocated: place(of: frame), flags: 0))
    }

    /// The address of a frame's descriptor; 0 where it has none.
    private func place(of frame: PageFrameNumber) -> UInt { unsafe UInt(bitPattern: table.descriptor(of: frame)) }
}
