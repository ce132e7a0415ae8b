import MemoryPrimitives

/// For tests of what can happen in the midst of a change.
extension Kmalloc {
    /// Runs `body` with the lock of the cache for `byteCount` bytes held. It must not call kmalloc.
    public func withCacheLocked(serving byteCount: UInt, _ body: () -> Void) {
        cache(serving: byteCount).value.lock.withLock(body)
    }
}
