import MemoryPrimitives

extension RangeList {
    /// Checks the order of the list, that no two ranges overlap or should be one, and the total.
    /// - Complexity: O(n).
    /// - Throws: the first rule that does not hold.
    public func checkInvariants() throws(InvariantViolation) {
        if count > capacity {
            throw InvariantViolation("a range list fits its array", found: UInt(count), expected: UInt(capacity))
        }
        var sum: UInt = 0
        for index in 0..<count {
            let element = self[index]
            let start = element.range.start.rawValue
            if element.range.isEmpty { throw InvariantViolation("a range is not empty", at: start) }
            sum &+= element.range.byteCount
            if index == 0 { continue }
            let before = self[index &- 1]
            if before.range.end > element.range.start {
                throw InvariantViolation(
                    "a range starts after the one before it ends", at: UInt(index), found: start,
                    expected: before.range.end.rawValue)
            }
            if before.range.end == element.range.start && before.tag == element.tag {
                throw InvariantViolation("neighbours with equal tags are one range", at: start)
            }
        }
        if sum != totalByteCount {
            throw InvariantViolation("the total is the sum of all ranges", found: totalByteCount, expected: sum)
        }
    }
}
