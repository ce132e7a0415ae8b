import MemoryPrimitives
import PageFrames
import Paging
import SimulatedKernel
import SimulatedMachine
import Slab
import Testing
import VirtualMemory

/// A trace of 3 events, as `quarry-replay --shrink` left it. It failed with:
/// doubleFree in kfree
struct DoubleFreeTrace {
    func trace() throws {
        let kernel = try SimulatedKernel(memory: 64 << 20, seed: 1)
        let (frames, kmalloc, vmalloc) = (kernel.frames, kernel.kmalloc, kernel.vmalloc)
        _ = (frames, kmalloc, vmalloc)
        try kernel.run {
            let object1 = kmalloc.value.allocate(8)
            kmalloc.value.free(object1)
            kmalloc.value.free(object1)
            try kernel.memory.value.checkInvariants()
        }
        let violations = kernel.machine.takeViolations().map { "\($0.kind) in \($0.call)" }
        #expect(violations == [])
        #expect(kernel.machine.takeStaleTranslations() == [])
    }
}
