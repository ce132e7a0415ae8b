import KernelMemory
import MemoryPrimitives
import PageFrames
import Paging
import VirtualMemory
import X86

/// What the kernel says about a request for page frames that could not be met: Linux's report.
///
/// A machine that runs out of memory does so often: the first reports are written, and after that one in a thousand.
enum AllocationFailureLog {
    private static let writtenAtFirst: UInt = 10
    private static let interval: UInt = 1000

    nonisolated(unsafe) private static var count: UInt = 0
    nonisolated(unsafe) private static var suppressed: UInt = 0

    static func handle(_ failure: FailedAllocation) {
        unsafe count += 1
        if unsafe count > writtenAtFirst && count % interval != 0 {
            unsafe suppressed += 1
            return
        }
        write(failure)
    }

    @inline(never)
    private static func write(_ failure: FailedAllocation) {
        if unsafe suppressed > 0 { unsafe Log.warning("warn_alloc: \(suppressed) callbacks suppressed") }
        unsafe suppressed = 0
        if failure.lack != .frames { return writeArea(failure) }
        var writer = SerialReportWriter()
        var report = AllocationFailure(
            name: "kernel", order: failure.order, flags: AllocationFlags(rawValue: failure.flags),
            cpu: X86Platform.currentCPU)
        guard let memory = unsafe Quarry.memory else {
            // During bring-up there are no figures yet.
            report.writeHeading(to: &writer)
            return Backtrace.printCallers(ofFrame: x86_frame_pointer())
        }
        report.pageTables = UInt(memory.value.pageTables.value.tableCount)
        report.writeHeading(to: &writer)
        Backtrace.printCallers(ofFrame: x86_frame_pointer())
        let frames = memory.value.frames
        AllocationFailureReport.writeMemory(report, frames.value, to: &writer)
    }

    /// What Linux says of an area that there are no addresses for, and the like where there are no frames; with figures.
    @inline(never)
    private static func writeArea(_ failure: FailedAllocation) {
        if failure.lack == .deviceAddresses {
            Log.warning(
                "ioremap: physical address \(hex: failure.address), size \(failure.byteCount): \(failure.reason)")
            return Backtrace.printCallers(ofFrame: x86_frame_pointer())
        }
        if failure.lack == .bounceSlots {
            Log.warning(
                """
                swiotlb buffer is full (sz: \(failure.byteCount) bytes), total \(failure.slots) (slots), used \
                \(failure.usedSlots) (slots)
                """)
            return Backtrace.printCallers(ofFrame: x86_frame_pointer())
        }
        if failure.lack == .addresses {
            Log.warning("vmap allocation for size \(failure.byteCount) failed: no such gap in the address space")
        } else {
            Log.warning("vmalloc error: size \(failure.byteCount), failed to allocate pages")
        }
        if let memory = unsafe Quarry.memory {
            let figures = memory.value.vmalloc.value.statistics.areas
            let frames = memory.value.frames
            Log.warning(
                """
                vmalloc: \(figures.areas) areas, \(figures.reservedPages) pages, \(figures.presentPages) of them there; page \
                frames: \(frames.value.freeFrames) free, \(frames.value.promisedFrames) promised
                """)
        }
        Backtrace.printCallers(ofFrame: x86_frame_pointer())
    }
}
