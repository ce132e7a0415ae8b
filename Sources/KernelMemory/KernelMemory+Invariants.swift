import BootMemory
import DeviceMemory
import MemoryPrimitives
import PageFrames
import Paging
import Slab
import VirtualMemory

extension KernelMemory {
    /// Checks every allocator, from the ground up. - Throws: the first thing that is wrong.
    /// - Complexity: O(all memory management's structures). For tests and the monitor, while no other CPU allocates.
    public func checkInvariants() throws(InvariantViolation) {
        try boot.value.checkInvariants()
        try frames.value.checkInvariants()
        try pageTables.value.checkInvariants()
        try kmalloc.value.checkInvariants()
        try vmalloc.value.checkInvariants()
        try stacks.value.checkInvariants()
        try dma.value.checkInvariants()
        try guardedPool?.value.checkInvariants()
    }
}
