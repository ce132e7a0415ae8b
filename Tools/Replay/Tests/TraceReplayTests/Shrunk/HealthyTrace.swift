import MemoryPrimitives
import PageFrames
import Paging
import SimulatedKernel
import SimulatedMachine
import Slab
import Testing
import VirtualMemory

/// A trace of 18 events, as `quarry-replay --shrink` left it. It failed with:
/// nothing
struct HealthyTrace {
    func trace() throws {
        let kernel = try SimulatedKernel(memory: 64 << 20, seed: 1)
        let (frames, kmalloc, vmalloc) = (kernel.frames, kernel.kmalloc, kernel.vmalloc)
        _ = (frames, kmalloc, vmalloc)
        try kernel.run {
            let object1 = kmalloc.value.allocate(100)
            let object2 = kmalloc.value.allocate(30000)
            let cache1 = try kmalloc.value.makeCache("replay", objectSize: 120)
            let object3 = cache1.allocate()
            let object4 = cache1.allocate()
            let block5 = frames.value.allocate(order: 3)!
            let block6 = frames.value.allocate(order: 0)!
            let area7 = vmalloc.value.allocate(50000)
            let area8 = vmalloc.value.allocate(4096)
            let area9Frame = frames.value.allocate(order: 0)!
            let area9 = Array(repeating: area9Frame, count: 3).withUnsafeBufferPointer { vmalloc.value.mapFrames($0) }
            let area10 = try vmalloc.value.mapDevice(PhysicalAddress(0x100fee00000), byteCount: 4096)
            vmalloc.value.unmapFrames(area9)
            vmalloc.value.unmapDevice(area10)
            vmalloc.value.free(area7)
            frames.value.split(block5, order: 3)
            frames.value.free(block5 + 4, order: 0)
            frames.value.free(block5 + 5, order: 0)
            frames.value.free(block5 + 6, order: 0)
            frames.value.free(block5 + 7, order: 0)
            frames.value.free(block5, order: 0)
            cache1.free(object3)
            kmalloc.value.free(object1)
            let object11 = kmalloc.value.allocate(64)
            _ = object2
            _ = object4
            _ = block6
            _ = area8
            _ = object11
            try kernel.memory.value.checkInvariants()
        }
        let violations = kernel.machine.takeViolations().map { "\($0.kind) in \($0.call)" }
        #expect(violations == [])
        #expect(kernel.machine.takeStaleTranslations() == [])
    }
}
