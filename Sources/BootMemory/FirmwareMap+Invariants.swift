import MemoryPrimitives

extension FirmwareMap {
    /// Checks that the map is sorted, disjoint, merged and within its limits.
    /// - Complexity: O(n).
    public func checkInvariants() throws(InvariantViolation) {
        for index in 0..<count {
            let region = self[index]
            let start = region.range.start.rawValue
            if region.range.isEmpty { throw InvariantViolation("a region is not empty", at: start) }
            let end = region.kind == .available ? min(limit, userLimit) : limit
            if region.range.end > end {
                throw InvariantViolation(
                    "a region ends within the limit", at: start, found: region.range.end.rawValue,
                    expected: end.rawValue)
            }
            if index == 0 { continue }
            let before = self[index &- 1]
            if before.range.end > region.range.start {
                throw InvariantViolation(
                    "a region starts after the one before it ends", at: UInt(index), found: start,
                    expected: before.range.end.rawValue)
            }
            if before.range.end == region.range.start && before.kind == region.kind {
                throw InvariantViolation("neighbours of one kind are one region", at: start)
            }
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
