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

    /// What Linux says of an area that cannot be had, and how full addresses and memory are.
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
        var writer = SerialReportWriter()
        AreaFailureReport.writeHeading(failure, name: "kernel", cpu: X86Platform.currentCPU, to: &writer)
        Backtrace.printCallers(ofFrame: x86_frame_pointer())
        guard let memory = unsafe Quarry.memory else { return }
        memory.value.vmalloc.value.writeFigures(to: &writer)
        if failure.lack == .addresses { return }
        var report = AllocationFailure(
            name: "kernel", order: 0, flags: AllocationFlags(rawValue: failure.flags), cpu: X86Platform.currentCPU)
        report.pageTables = UInt(memory.value.pageTables.value.tableCount)
        AllocationFailureReport.writeMemory(report, memory.value.frames.value, to: &writer)
    }
}
