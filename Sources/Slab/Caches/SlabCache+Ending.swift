import MemoryPrimitives

extension SlabCache {
    /// Has `.zero` clear nothing: the objects are as their constructor or their last user left them. Before first use.
    func leaveObjectsAlone() {
        for cpu in 0..<P.cpuCount {
            let magazine = magazine(cpu)
            magazine.initialize(limit: magazine.limit, plainSize: 0, cache: address)
        }
    }

    /// The bytes of an object that `.zero` clears.
    var clearedByteCount: UInt { flags.contains(.keepsContents) ? 0 : objectSize }

    /// Whether the cache has memory for objects, or gives the last back at this moment.
    var hasMemory: Bool { withState { state in state.hasMemory } }

    /// The same where interrupts are disabled already, as with the list of all caches locked.
    @inline(__always)
    var hasMemoryWithInterruptsDisabled: Bool {
        lock.acquireWithInterruptsDisabled()
        defer { lock.releaseWithInterruptsDisabled() }
        // Under the lock.
        return unsafe state.pointee.hasMemory
    }

    /// Gives all memory back.
    /// - Returns: false, with each object that is still its user's reported, where there is one.
    func empty() -> Bool {
        // Where somebody shrinks the cache at this moment, that ends soon. A slab that never becomes free without an
        // object that is in use is a damaged one.
        for _ in 0..<1_000_000 {
            if !hasMemory { return true }
            _ = shrink()
            _ = returnEmptySlabs(upTo: .max, isEnding: true)
            if reportRemaining() + reportGuarded() > 0 { return false }
            P.relax()
        }
        P.report(MemoryViolation(.corruption, in: "kmem_cache_destroy", at: address, "a slab does not become free"))
        return false
    }
}
