import MemoryPrimitives

extension RegionList {
    /// Checks the order of the list, that no two regions overlap or should be one, and the total.
    /// - Complexity: O(n).
    public func checkInvariants() throws(InvariantViolation) {
        if count > capacity {
            throw InvariantViolation("a region list fits its array", found: UInt(count), expected: UInt(capacity))
        }
        var sum: UInt = 0
        for index in 0..<count {
            let region = self[index]
            let start = region.range.start.rawValue
            if region.range.isEmpty { throw InvariantViolation("a region is not empty", at: start) }
            sum &+= region.range.byteCount
            if index == 0 { continue }
            let before = self[index &- 1]
            if before.range.end > region.range.start {
                throw InvariantViolation(
                    "a region starts after the one before it ends", at: UInt(index), found: start,
                    expected: before.range.end.rawValue)
            }
            if before.range.end == region.range.start && before.owner == region.owner {
                throw InvariantViolation("neighbours of one owner are one region", at: start)
            }
        }
        if sum != totalByteCount {
            throw InvariantViolation("the total is the sum of all regions", found: totalByteCount, expected: sum)
        }
    }
}

extension BootAllocator {
    /// Checks both lists and that the arrays that the allocator gave itself are reserved as such.
    /// - Complexity: O(n).
    public func checkInvariants() throws(InvariantViolation) {
        try memory.checkInvariants()
        try reserved.checkInvariants()
        if let array = growth?.memoryArray { try checkArray(array) }
        if let array = growth?.reservedArray { try checkArray(array) }
    }

    private func checkArray(_ array: PhysicalRange) throws(InvariantViolation) {
        guard let region = reserved.region(containing: array.start), region.owner == .regionLists,
            region.range.contains(array)
        else { throw InvariantViolation("a region list's array is reserved", at: array.start.rawValue) }
    }
}
