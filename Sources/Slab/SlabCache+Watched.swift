import MemoryPrimitives
import PageFrames

// A cache that is watched: each call comes here, with the magazines passed by.
extension SlabCache {
    /// As `allocateSlow`.
    func allocateWatched(_ flags: AllocationFlags) -> UInt? {
        while true {
            if let object = takeSingle() {
                noteAllocation(object, flags)
                return object
            }
            guard addSlab(flags) else { return nil }
        }
    }

    /// As `freeSlow`.
    func freeWatched(_ entry: Magazine<P>.Entry) {
        frames.value.noteFree(entry.object, byteCount: objectSize)
        putSingle(entry)
    }

    /// Tells the watcher of an object, unless nobody wants to look for leaks of this cache.
    @inline(__always)
    private func noteAllocation(_ object: UInt, _ flags: AllocationFlags) {
        if self.flags.contains(.noLeakTrace) { return }
        frames.value.noteAllocation(object, byteCount: objectSize, .object, flags)
    }
}
