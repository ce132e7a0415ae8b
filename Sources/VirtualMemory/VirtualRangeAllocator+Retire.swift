import MemoryPrimitives

/// How areas wait for a purge.
extension VirtualRangeAllocator {
    /// Lets an area whose freeing the caller began wait for a purge. It is no area any more.
    /// - Parameter isMapped: whether its pages have yet to be taken away.
    /// - Returns: how many pages wait now. - Complexity: O(1).
    func retire(_ reference: AreaReference, isMapped: Bool) -> UInt {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        reference.node.area.state = .retired
        reference.node.area.isMapped = isMapped
        unlockedState.figures.areas &-= 1
        unlockedState.figures.reservedPages &-= reference.node.area.reservedPages
        unlockedState.figures.remove(reference.node.area.presentPages, of: reference.node.area.kind)
        if reference.node.area.isOnDemand { forgetTouches(of: reference) }
        unlockedState.figures.retiredPages &+= reference.node.area.presentPages
        unlockedState.retired.append(reference)
        return unlockedState.retired.pageCount
    }

    /// Pages of ranges that wait for a purge. - Complexity: O(1).
    var waitingPages: UInt { lock.withLock { unlockedState.retired.pageCount } }

    /// All that waits, for the caller to end each by `end(retired:)`. - Complexity: O(1).
    func takeRetired() -> RetiredAreas {
        lock.withLock {
            let all = unlockedState.retired.takeAll()
            unlockedState.areasBeingPurged &+= all.count
            return all
        }
    }

    /// Ends a retired area that no CPU remembers and behind which there are no pages: its range rests or is free.
    /// - Complexity: O(log n).
    func end(retired reference: AreaReference) {
        let interrupts = lock.acquire()
        unlockedState.figures.retiredPages &-= reference.node.area.presentPages
        unlockedState.areasBeingPurged &-= 1
        let gone = letRest(reference)
        lock.release(interrupts)
        // In the tree no more.
        if let gone { unsafe giveBack(note: gone.memory) }
    }

    /// Takes a retired area for one that nobody can end: its tables are damaged, and nobody is to get its range.
    func keepForGood(_ reference: AreaReference) {
        lock.withLock {
            unlockedState.figures.retiredPages &-= reference.node.area.presentPages
            unlockedState.areasBeingPurged &-= 1
            unlockedState.figures.areas &+= 1
            unlockedState.figures.reservedPages &+= reference.node.area.reservedPages
            unlockedState.figures.add(reference.node.area.presentPages, of: reference.node.area.kind)
            if reference.node.area.isOnDemand {
                unlockedState.figures.touchedPages &+= reference.node.area.presentPages
            }
            reference.node.area.state = .dying
        }
    }
}
