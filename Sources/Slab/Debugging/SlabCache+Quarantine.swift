import MemoryPrimitives
import PageFrames

extension SlabCache {
    /// Lets an object, that has been freed wait, and others leave for which there is no room any more.
    /// - Returns: false, with nothing done, where there is no quarantine. - Complexity: O(objects that leave).
    func putInQuarantine(_ entry: Magazine<P>.Entry) -> Bool {
        let quarantine = debugging
        guard quarantine.value.quarantine.isActive else { return false }
        entry.setState(.waiting)
        while !quarantine.value.quarantine.put(entry.object, layout.slotSize) {
            // Full. Others may fill the place first.
            if let first = quarantine.value.quarantine.takeExcess() { endQuarantine(of: first) }
        }
        while let first = quarantine.value.quarantine.takeExcess() { endQuarantine(of: first) }
        return true
    }

    /// Lets all objects leave, those of other caches, too. - Complexity: O(objects).
    func emptyQuarantine() {
        while let first = debugging.value.quarantine.takeFirst(keeping: 0) { endQuarantine(of: first) }
    }

    /// Puts an object that has waited, of this or another cache, back into its slab, after a look at it.
    private func endQuarantine(of object: UInt) {
        guard let slab = slab(of: object), let index = slab.index(of: object) else { return }
        slab.cache(on: P.self).value.putAfterQuarantine(slab, index, object)
    }

    private func putAfterQuarantine(_ slab: SlabPage, _ index: Int, _ object: UInt) {
        debugging.value.lock.withLock {
            _ = checkSurroundings(of: object, isFree: true, in: "slab_quarantine")
            slab.setState(index, .free)
        }
        putSingle(entry(slab, index))
    }
}
