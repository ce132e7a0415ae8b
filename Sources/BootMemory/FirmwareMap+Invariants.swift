import MemoryPrimitives

extension FirmwareMap {
    /// Checks that the map is sorted, disjoint, merged and within its limits.
    /// - Complexity: O(n).
    /// - Throws: the first rule that does not hold.
    public func checkInvariants() throws(InvariantViolation) {
        try regions.checkInvariants()
        if count > 0, self[count &- 1].range.end > limit {
            throw InvariantViolation(
                "a region ends within the limit", at: self[count &- 1].range.start.rawValue,
                found: self[count &- 1].range.end.rawValue, expected: limit.rawValue)
        }
    }
}

extension BootAllocator {
    /// Adds all available memory of `map`.
    /// - Complexity: O(n^2).
    public mutating func add(availableIn map: borrowing FirmwareMap) {
        for index in 0..<map.count where map[index].kind == .available { add(map[index].range) }
    }
}
