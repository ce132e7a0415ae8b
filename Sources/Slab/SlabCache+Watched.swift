import MemoryPrimitives
import PageFrames

// A cache that is watched: each call comes here, with the magazines passed by.
extension SlabCache {
    /// As `allocateSlow`, cleared where the flags say so.
    func allocateWatched(_ flags: AllocationFlags, _ requested: UInt) -> UInt? {
        if self.flags.contains(.failslab), debugging.value.failsOnPurpose(flags) { return nil }
        if let object = allocateGuarded(flags, requested) {
            // Not in the direct map, and between pages that are not there.
            noteForLeaks(object, .area, flags)
            return object
        }
        guard let object = takeChecked(flags, requested) else { return nil }
        noteUser(of: object, .allocation)
        noteForLeaks(object, .object, flags)
        clearForUser(object, flags, requested)
        return object
    }

    /// As `freeSlow`.
    func freeWatched(_ entry: Magazine<P>.Entry) {
        frames.value.noteFree(entry.object, byteCount: objectSize)
        makeFree(entry)
        noteUser(of: entry.object, .free)
        if putInQuarantine(entry) { return }
        putSingle(entry)
    }

    /// Tells the watcher of an object, unless nobody wants to look for leaks of this cache.
    @inline(__always)
    private func noteForLeaks(_ object: UInt, _ kind: WatchedKind, _ flags: AllocationFlags) {
        if self.flags.contains(.noLeakTrace) { return }
        frames.value.noteAllocation(object, byteCount: objectSize, kind, flags)
    }
}
