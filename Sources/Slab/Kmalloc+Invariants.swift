import MemoryPrimitives
import PageFrames

extension Kmalloc {
    /// Checks every slab, object and magazine. On a machine at rest only: no CPU may be using this.
    ///
    /// - Throws: the first thing that is wrong.
    /// - Complexity: O(objects + frames of all slabs).
    public func checkInvariants() throws(InvariantViolation) {
        // Every object in a magazine is marked, so that one that is there twice, or is said to be and is not, shows.
        let marking = markMagazines(from: .cached, to: .seen)
        let slabs = checkCaches()
        _ = markMagazines(from: .seen, to: .cached)
        if let violation = marking ?? slabs { throw violation }
    }

    private func checkCaches() -> InvariantViolation? {
        do throws(InvariantViolation) {
            for index in 0..<Self.cacheCount { try caches[index].value.checkInvariants() }
            let headers = caches[Self.headerCacheIndex].value.withState { state in
                state.slabCount * caches[Self.headerCacheIndex].value.layout.objectCount - state.freeObjects
            }
            var slabs = 0
            for index in 0..<Self.headerCacheIndex where caches[index].value.layout.headerOffset == nil {
                slabs += caches[index].value.withState { state in state.slabCount }
            }
            try require(headers == slabs, "each slab of large objects has one header", 0, headers, slabs)
            return nil
        } catch {
            return error
        }
    }

    /// Moves the state of all objects in magazines; the first that is in another state is returned.
    private func markMagazines(from old: ObjectState, to new: ObjectState) -> InvariantViolation? {
        var violation: InvariantViolation?
        for cpu in 0..<P.cpuCount {
            for index in 0..<MagazineRack<P>.cacheCount {
                let magazine = rack.magazine(ofCache: index, cpu: cpu)
                for position in 0..<magazine.count {
                    let entry = magazine.entry(position)
                    let isOwn = slab(of: entry.object)?.cacheIndex == index
                    if isOwn, entry.loadState() == old {
                        entry.setState(new)
                    } else if violation == nil {
                        violation = InvariantViolation(
                            "a magazine holds each free object of its cache once", at: entry.object,
                            found: UInt(entry.loadState().rawValue), expected: UInt(old.rawValue))
                    }
                }
            }
        }
        return violation
    }
}
