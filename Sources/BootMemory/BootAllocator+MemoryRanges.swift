import MemoryPrimitives

extension BootAllocator {
    /// The ranges of memory by index, `0 ..< memoryRangeCount`, in ascending order: for callers that allocate on the
    /// way. - Complexity: O(1).
    public func memoryRange(at index: Int) -> PhysicalRange { memory[index].range }
}
