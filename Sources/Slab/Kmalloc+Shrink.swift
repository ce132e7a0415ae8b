import MemoryPrimitives
import PageFrames

extension Kmalloc {
    /// Empties this CPU's magazines and gives all slabs that are wholly free back to the buddy.
    ///
    /// Where everything is freed, and no other CPU's magazine holds objects, the buddy has as many frames as before the
    /// first allocation. - Complexity: O(objects in this CPU's magazines + slabs given back).
    public func shrink() {
        for index in 0..<MagazineRack<P>.cacheCount {
            // One cache at a time, so that interrupts are not disabled for long.
            let interrupts = P.disableInterrupts()
            drain(cache: index, cpu: P.currentCPU)
            P.restoreInterrupts(interrupts)
        }
        shrinkCaches()
    }

    /// As `shrink()`, for the magazines of all CPUs. On a machine at rest only: no other CPU may be using this.
    public func drainAll() {
        let interrupts = P.disableInterrupts()
        for cpu in 0..<P.cpuCount {
            for index in 0..<MagazineRack<P>.cacheCount { drain(cache: index, cpu: cpu) }
        }
        P.restoreInterrupts(interrupts)
        shrinkCaches()
    }

    private func drain(cache index: Int, cpu: Int) {
        let magazine = rack.magazine(ofCache: index, cpu: cpu)
        let count = magazine.count
        if count > 0 { caches[index].value.drain(magazine, count: count) }
    }

    /// The cache of headers last: the other caches' slabs give theirs back to it.
    private func shrinkCaches() {
        for index in 0..<Self.cacheCount { caches[index].value.shrink() }
    }
}
