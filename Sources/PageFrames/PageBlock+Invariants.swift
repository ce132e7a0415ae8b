import MemoryPrimitives

extension PageBlock {
    /// Checks the tree and the notes about it: no free block lies within another, no two free buddies are unmerged, and
    /// the notes say which words and orders are not empty.
    ///
    /// - Parameter location: the page block's first frame, for the report.
    /// - Complexity: O(frames). Under the zone's lock.
    func checkInvariants(at location: UInt) throws(InvariantViolation) {
        var hasBlock = false
        for order in 0...PageBlock.order {
            for node in 512 >> order..<1024 >> order where isFree(node) {
                hasBlock = true
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
            if countBits(order: order) != blockCount(order: order) {
                throw InvariantViolation(
                    "a page block counts its free blocks", at: location, found: UInt(blockCount(order: order)),
                    expected: UInt(countBits(order: order)))
            }
        }
        if isFreeSection, hasBlock { throw InvariantViolation("a free section is one block", at: location) }
        if !hasTrueWordNotes {
            throw InvariantViolation("a page block's notes name the words that are not 0", at: location)
        }
    }
}
