import MemoryPrimitives
import PageFrames

extension LeakDetector {
    /// Checks the tree and the counts.
    ///
    /// - Throws: the first thing that is wrong.
    /// - Complexity: O(allocations), with the lock held throughout.
    public func checkInvariants() throws(InvariantViolation) {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        // The detector's own memory, under its lock.
        let tree = unsafe state.pointee.tree
        var blocks = 0
        try tree.checkInvariants { reference throws(InvariantViolation) in
            if reference.record.byteCount == 0 {
                throw InvariantViolation("a record has bytes", at: reference.record.start)
            }
            if reference.has(.isDead) || reference.has(.isHeld) {
                throw InvariantViolation("nobody holds a record between scans", at: reference.record.start)
            }
            if reference.record.kind == .block { blocks += 1 }
        }
        if unsafe blocks != state.pointee.blockCount {
            throw InvariantViolation(
                "blocks are counted", found: UInt(bitPattern: unsafe state.pointee.blockCount), expected: UInt(blocks))
        }
    }
}
