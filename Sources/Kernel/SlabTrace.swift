import KernelMemory
import MemoryPrimitives
import Slab
import X86

/// The lines on calls on caches with `T` in `slub_debug=`, each with its callers.
enum SlabTrace {
    static func handle(_ traced: TracedObject) {
        // During bring-up nothing is known of the cache yet.
        guard let memory = unsafe Quarry.memory else { return }
        var writer = SerialReportWriter()
        memory.value.kmalloc.value.write(traced, to: &writer)
        Backtrace.printCallers(ofFrame: x86_frame_pointer())
    }
}
