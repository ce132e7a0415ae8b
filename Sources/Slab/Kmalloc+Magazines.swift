import MemoryPrimitives
import PageFrames
import Synchronization

// Turning the magazines of all caches off and on, so that each call comes to where it can be told of.
extension Kmalloc {
    /// Turns the magazines and depots of all caches on or off; they are emptied first. While they are off, each call takes the
    /// slow way, to the slabs. Caches made meanwhile are alike. Caches whose magazines hold nothing anyway stay so.
    ///
    /// For one caller at a time, not in an interrupt handler. Others may allocate and free meanwhile.
    /// - Complexity: O(caches * CPUs + objects in magazines and depots).
    public func setMagazines(enabled: Bool) {
        passesMagazines.store(!enabled, ordering: .sequentiallyConsistent)
        var next = next(after: nil)
        while let cache = next {
            cache.value.setMagazines(enabled: enabled)
            next = self.next(after: cache)
        }
    }

    /// Whether magazines are on, for caches that have any.
    public var hasMagazines: Bool { !passesMagazines.load(ordering: .relaxed) }
}

extension SlabCache {
    /// As `Kmalloc.setMagazines`, for one cache.
    @inline(never)
    func setMagazines(enabled: Bool) {
        if isWatched { return }
        for cpu in 0..<P.cpuCount {
            let magazine = magazine(cpu)
            // Held for a few instructions, or for one exchange with the cache.
            while !magazine.tryHold() { P.relax() }
            let surplus = drain(magazine, to: 0)
            magazine.limit = enabled ? usualMagazineLimit : 0
            magazine.letGo()
            retire(surplus)
        }
        // No magazine brings anything any more.
        if !enabled { _ = emptyDepot() }
    }
}
