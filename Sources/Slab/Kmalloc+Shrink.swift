import MemoryPrimitives

extension Kmalloc {
    /// Empties the magazines of all CPUs, but for those that are in use at the moment, and gives all slabs that are
    /// wholly free back to the buddy.
    ///
    /// Where everything is freed the buddy has as many frames as before the first allocation.
    /// - Returns: the frames given back. - Complexity: O(objects in magazines and depots + slabs given back).
    @discardableResult
    public func shrink() -> UInt {
        var frames: UInt = 0
        var next = next(after: nil)
        while let cache = next {
            frames += cache.value.shrink()
            next = self.next(after: cache)
        }
        return frames
    }
}
