import MemoryPrimitives
import PageFrames

/// What page faults ask and count.
extension VirtualRangeAllocator {
    /// Runs `body` with the live area in whose usable part `address` lies, with the lock held: nobody begins to free it
    /// meanwhile. `body` counts what the touch brings with `count`.
    /// - Returns: nil where there is no such area. - Complexity: O(log n) and `body`. The page-fault handler calls it.
    @inline(__always)
    func withTouchedArea<Result>(at address: VirtualAddress, _ body: (AreaReference) -> Result) -> Result? {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        guard let reference = unlockedState.tree.find(containing: address), reference.node.area.state == .live,
            reference.node.area.usable.contains(address)
        else { return nil }
        return body(reference)
    }

    /// Counts `pages` promised frames of an area as present, and `tables` promised ones as no longer promised. The lock is
    /// held.
    @inline(__always)
    func count(pages: UInt, tables: UInt = 0, of reference: AreaReference) {
        reference.node.area.presentPages &+= pages
        reference.node.area.promisedTables &-= tables
        unlockedState.figures.add(pages, of: reference.node.area.kind)
        unlockedState.figures.touchedPages &+= pages
        unlockedState.figures.promisedFrames &-= pages &+ tables
    }

    /// Takes back what was counted and did not come: it is promised as before. The caller holds the fault lock under which
    /// it was counted, so that the area is there, though it may be dying. - Complexity: O(1).
    @inline(never)
    func uncount(pages: UInt, tables: UInt = 0, of reference: AreaReference) {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        count(pages: 0 &- pages, tables: 0 &- tables, of: reference)
    }

    /// What an area that the caller takes apart has, now that no fault is under way in it: the pages that are there, and the
    /// frames that are still promised. - Complexity: O(1).
    func countAfterLastTouch(of area: borrowing Area) -> (pages: UInt, promised: UInt) {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        guard let reference = Self.exact(area, in: .dying) else { return (area.presentPages, area.promisedFrames) }
        return (reference.node.area.presentPages, reference.node.area.promisedFrames)
    }
}
