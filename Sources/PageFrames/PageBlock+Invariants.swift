import MemoryPrimitives

extension PageBlock {
    /// Checks the tree and the notes about it: no free block lies within another, no two free buddies are unmerged, and
    /// the notes say which words and orders are not empty.
    ///
    /// - Parameter location: the page block's first frame, for the report.
    /// - Complexity: O(frames). Under the zone's lock.
    func checkInvariants(at location: UInt) throws(InvariantViolation) {
        var found: UInt16 = 0
        for order in 0...PageBlock.order {
            for node in UInt32(512 >> order)..<UInt32(1024 >> order) where isFree(node) {
                found |= 1 << UInt16(order)
                if order < PageBlock.order, isFree(node ^ 1) {
                    throw InvariantViolation("no two buddies are both free", at: location, found: UInt(node))
                }
                var ancestor = node >> 1
                while ancestor > 0 {
                    if isFree(ancestor) {
                        throw InvariantViolation("no free block lies within another", at: location, found: UInt(node))
                    }
                    ancestor >>= 1
                }
            }
        }
        if orders & 1 << 10 != 0 {
            if found != 0 { throw InvariantViolation("a free section is one block", at: location, found: UInt(found)) }
            found = 1 << 10
        }
        if found != orders {
            throw InvariantViolation(
                "a page block's orders are those of its free blocks", at: location, found: UInt(orders),
                expected: UInt(found))
        }
        if !hasTrueWordNotes {
            throw InvariantViolation("a page block's notes name the words that are not 0", at: location)
        }
    }
}
