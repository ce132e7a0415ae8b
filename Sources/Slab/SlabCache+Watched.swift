import MemoryPrimitives
import PageFrames

// A cache that is watched: each call comes here, with the magazines passed by.
extension SlabCache {
    /// As `allocateSlow`, cleared where the flags say so.
    func allocateWatched(_ flags: AllocationFlags, _ requested: UInt) -> UInt? {
        if self.flags.contains(.failslab), debugging.value.failsOnPurpose(flags) { return nil }
        if let object = allocateGuarded(flags, requested) { return object }
        guard let object = takeChecked(flags, requested) else { return nil }
        noteUser(of: object, .allocation)
        clearForUser(object, flags, requested)
        return object
    }

    /// As `freeSlow`.
    func freeWatched(_ entry: Magazine<P>.Entry) {
        makeFree(entry)
        noteUser(of: entry.object, .free)
        if putInQuarantine(entry) { return }
        putSingle(entry)
    }
}
