import MemoryPrimitives
import PageFrames

extension Kmalloc {
    /// Checks every slab, object and magazine. On a machine at rest only: no CPU may be using this.
    ///
    /// - Throws: the first thing that is wrong.
    /// - Complexity: O(objects + frames of all slabs).
    public func checkInvariants() throws(InvariantViolation) {
        var slabs = 0
        var next = caches.first
        while let cache = next {
            if let violation = check(cache.value) { throw violation }
            slabs += cache.value.withState { state in state.lists.slabCount }
            next = caches.next(after: cache)
        }
        let headers = Int(bitPattern: headers.value.figures.headers)
        try require(headers == slabs, "each slab has one header", 0, headers, slabs)
    }

    private func check(_ cache: borrowing SlabCache<P>) -> InvariantViolation? {
        // Every object in a magazine is marked, so that one that is there twice, or is said to be and is not, shows.
        let marking = cache.markMagazines(from: .free, to: .seen)
        var found: InvariantViolation?
        do throws(InvariantViolation) { try cache.checkInvariants() } catch { found = error }
        _ = cache.markMagazines(from: .seen, to: .free)
        return marking ?? found
    }
}
