import KernelMemory
import MemoryPrimitives
import PageFrames
import X86

/// The end of a kernel whose next step needs memory that is not there, and which has no way to say so to its caller.
enum OutOfMemoryReport {
    static func end(byteCount: UInt, alignment: UInt) -> Never {
        FatalReport.begin()
        Log.fatal("out of memory: a Swift object of \(byteCount) bytes, alignment \(alignment)")
        Log.fatal("Swift objects: \(SwiftRuntime.objectCount) live, \(SwiftRuntime.allocationCount) ever allocated")
        if let memory = unsafe Quarry.memory {
            let frames = memory.value.frames
            Log.fatal(
                """
                page frames: \(frames.value.freeFrames) free of \(frames.value.managedFrames), \
                \(frames.value.promisedFrames) promised
                """)
            ZoneKind.forEach { zone in
                let figures = frames.value.statistics(of: zone)
                Log.fatal(
                    "zone \(figures.name): \(figures.freeFrames) free of \(figures.managedFrames), \(figures.failures) refused"
                )
            }
        }
        Backtrace.printCallers(ofFrame: x86_frame_pointer())
        FatalReport.end(.outOfMemory)
    }
}
