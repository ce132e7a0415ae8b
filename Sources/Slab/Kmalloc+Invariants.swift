import MemoryPrimitives
import PageFrames

extension Kmalloc {
    /// Checks every slab, object, magazine and depot. On a machine at rest only: no CPU may be using this.
    ///
    /// - Throws: the first thing that is wrong.
    /// - Complexity: O(objects + frames of all slabs).
    public func checkInvariants() throws(InvariantViolation) {
        var slots = 0
        var next = next(after: nil)
        while let cache = next {
            if let violation = check(cache.value) {
                endWalk(at: cache)
                throw violation
            }
            slots += cache.value.withState { state in state.lists.slabCount + state.depot.bucketCount }
            next = self.next(after: cache)
        }
        let figures = headers.value.figures
        try require(
            figures.slots == slots, "each slab has one header, and each bucket is in a depot", 0, Int(figures.slots),
            slots)
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
