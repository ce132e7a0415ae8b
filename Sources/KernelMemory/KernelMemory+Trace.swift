import MemoryPrimitives
import PageFrames
import Slab

extension KernelMemory {
    /// Closes the short ways of the allocators that `selection` has events of, and opens all others: with tracing off, all is
    /// as it was before.
    ///
    /// The events come to `P.trace`, of those kinds that `P.tracedEvents` has. So who starts tracing sets these first, and
    /// who ends it sets them to none last; whatever has closed short ways besides keeps them closed. For one caller at a
    /// time, not in an interrupt handler; others may allocate and free meanwhile.
    /// - Complexity: O(caches * CPUs + cached objects and frames).
    public func setTracing(_ selection: TraceSelection) {
        let hasMagazines = selection.isDisjoint(with: .objects)
        if kmalloc.value.hasMagazines != hasMagazines { kmalloc.value.setMagazines(enabled: hasMagazines) }
        let isTraced = !selection.isDisjoint(with: .frames)
        if frames.value.isTraced != isTraced { frames.value.setTracing(isTraced) }
    }
}
