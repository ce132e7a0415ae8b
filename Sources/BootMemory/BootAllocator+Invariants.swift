import MemoryPrimitives

extension BootAllocator {
    /// Checks both lists and that the arrays that the allocator gave itself are reserved as such.
    /// - Complexity: O(n).
    /// - Throws: the first rule that does not hold.
    public func checkInvariants() throws(InvariantViolation) {
        try memory.checkInvariants()
        for index in 0..<memory.count where memory[index].node == nil {
            throw InvariantViolation("memory is of a node", at: memory[index].range.start.rawValue)
        }
        try reserved.checkInvariants()
        if let array = growth?.memoryArray { try checkArray(array) }
        if let array = growth?.reservedArray { try checkArray(array) }
    }

    private func checkArray(_ array: PhysicalRange) throws(InvariantViolation) {
        guard let region = reserved.element(containing: array.start), region.owner == .regionLists,
            region.range.contains(array)
        else { throw InvariantViolation("a region list's array is reserved", at: array.start.rawValue) }
    }
}
