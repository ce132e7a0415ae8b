import MemoryPrimitives

extension PageFrameAllocator {
    /// No frame that was given to the allocator lies here or above: the end of memory, rounded up to 4 MiB.
    /// - Complexity: O(1).
    @inline(__always)
    public var endOfMemory: PhysicalAddress {
        PhysicalAddress(table.sectionCount &<< (Section.shift &+ PageSize.shift))
    }
}
