import MemoryPrimitives
import PageFrames

extension LeakDetector {
    /// Checks the tree: order, links, heights, balance, counts.
    ///
    /// - Throws: the first thing that is wrong.
    /// - Complexity: O(allocations), with the lock held throughout.
    public func checkInvariants() throws(InvariantViolation) {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        // The detector's own memory, under its lock.
        let tree = unsafe state.pointee.tree
        var count = 0
        var blocks = 0
        var end: UInt = 0
        var current = tree.first(from: 0)
        while let reference = current {
            let start = reference.record.start
            if start < end || reference.record.byteCount == 0 {
                throw InvariantViolation("records follow each other without overlap", at: start, found: end)
            }
            if reference.balance.magnitude > 1 { throw InvariantViolation("the tree is balanced", at: start) }
            let height = max(reference.record.left?.record.height ?? 0, reference.record.right?.record.height ?? 0) + 1
            if height != reference.record.height { throw InvariantViolation("heights are right", at: start) }
            if let left = reference.record.left, left.record.parent != reference {
                throw InvariantViolation("children know their parents", at: start)
            }
            if let right = reference.record.right, right.record.parent != reference {
                throw InvariantViolation("children know their parents", at: start)
            }
            if reference.has(.isDead) || reference.has(.isHeld) {
                throw InvariantViolation("nobody holds a record between scans", at: start)
            }
            if reference.record.kind == .block { blocks += 1 }
            count += 1
            end = reference.record.end
            current = LeakTree.next(after: reference)
        }
        if count != tree.count {
            throw InvariantViolation("records are counted", found: UInt(tree.count), expected: UInt(count))
        }
        if unsafe blocks != state.pointee.blockCount {
            throw InvariantViolation(
                "blocks are counted", found: UInt(bitPattern: unsafe state.pointee.blockCount), expected: UInt(blocks))
        }
    }
}
