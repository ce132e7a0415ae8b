import MemoryPrimitives
import PageFrames

// From full magazines to the depot, and from there home to the slabs.
extension SlabCache {
    /// Takes most of the objects out of a full magazine, which the caller holds: into the depot, or, where there is no
    /// memory for a bucket, into their slabs. What the depot does not need goes home meanwhile, a bucket at a time.
    /// - Returns: slabs to be given back, each the one after it by `next`. - Complexity: O(objects).
    @inline(never)
    func makeRoom(_ magazine: Magazine<P>) -> SlabPage? {
        let left = Self.objectsLeft(ofLimit: magazine.limit)
        let (isStowed, mayGrow, hasSurplus) = withState { state in
            (state.depot.stow(magazine, leaving: left), state.depot.mayGrow, state.depot.hasSurplus)
        }
        if !isStowed, !mayGrow || !stowInNewBucket(magazine, leaving: left) { return drain(magazine, to: left) }
        return hasSurplus ? takeSurplusHome() : nil
    }

    /// - Returns: false, with nothing changed, where there is no memory.
    @inline(never)
    private func stowInNewBucket(_ magazine: Magazine<P>, leaving left: Int) -> Bool {
        // Without the lock. Not at any price: the objects have slabs to go to.
        let capacity = magazine.limit &- left
        guard let memory = headers.value.allocateReadily(Bucket<P>.byteCount(capacity: capacity)) else {
            withState { state in state.depot.wait() }
            return false
        }
        // A slot that the pool has just given, large enough.
        let bucket = unsafe Bucket<P>(
            in: UnsafeMutableRawPointer(bitPattern: memory).unsafelyUnwrapped, capacity: capacity)
        bucket.take(from: magazine, leaving: left)
        withState { state in state.depot.add(bucket) }
        return true
    }

    /// Empties a bucket that the depot does not need, and gives its memory back.
    /// - Returns: slabs to be given back, each the one after it by `next`.
    @inline(never)
    private func takeSurplusHome() -> SlabPage? {
        guard let bucket = withState({ state in state.depot.takeSurplus() }) else { return nil }
        let surplus = putBack(bucket.entries, from: bucket.count, to: 0)
        headers.value.free(bucket.address, bucket.byteCount)
        return surplus
    }

    /// Puts all objects of the depot back into their slabs, and gives all buckets back: those that are there now, for other
    /// CPUs may bring more meanwhile.
    /// - Returns: the frames given back. - Complexity: O(objects + slabs given back).
    func emptyDepot() -> UInt {
        var frames: UInt = 0
        let (full, empty) = withState { state in (state.depot.full.count, state.depot.empty.count) }
        for _ in 0..<full {
            guard let bucket = withState({ state in state.depot.takeFull() }) else { break }
            frames += retire(putBack(bucket.entries, from: bucket.count, to: 0))
            frames += headers.value.free(bucket.address, bucket.byteCount)
        }
        for _ in 0..<empty {
            guard let bucket = withState({ state in state.depot.takeEmpty() }) else { break }
            frames += headers.value.free(bucket.address, bucket.byteCount)
        }
        return frames
    }
}
