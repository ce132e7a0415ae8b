import MemoryPrimitives
import PageFrames

// A cache that is watched: each call comes here, with the magazines passed by.
extension SlabCache {
    /// As `allocateSlow`.
    func allocateWatched(_ flags: AllocationFlags) -> UInt? {
        if let object = allocateGuarded(flags) { return object }
        while true {
            if let object = takeSingle() { return object }
            guard addSlab(flags) else { return nil }
        }
    }

    /// As `freeSlow`.
    func freeWatched(_ entry: Magazine<P>.Entry) { putSingle(entry) }
}
