import MemoryPrimitives

/// For tests of what can happen in the midst of a change.
extension Vmalloc {
    /// Runs `body` with the lock held that a first touch of the page at `address` takes.
    public func withFaultLocked(for address: VirtualAddress, _ body: () -> Void) {
        faultLocks.withLock(for: address, body)
    }

    /// Runs `body` with the lock of the ranges held. It must not call the allocator.
    public func withRangesLocked(_ body: () -> Void) { ranges.lock.withLock(body) }
}
