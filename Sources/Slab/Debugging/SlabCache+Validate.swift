import MemoryPrimitives
import PageFrames

// Walking over all slabs of a cache in search of damage.
extension SlabCache {
    /// Looks at the counts of every slab and, where the cache is watched, at what lies around every object: what is wrong
    /// is reported and made good.
    ///
    /// - Returns: how many things were wrong.
    /// - Complexity: O(bytes in slabs), with the cache's lock held.
    @discardableResult
    public func validate() -> Int {
        debugging.value.lock.withLock {
            withState { state in
                var found = 0
                for list in 0..<SlabLists.count {
                    var next = state.lists.first(in: list)
                    while let slab = next {
                        // Putting a count right may move the slab to another list.
                        next = slab.next
                        found += validateCount(slab, &state)
                        if flags.rawValue & (CacheFlags.poison | .redZone).rawValue != 0 { found += validate(slab) }
                    }
                }
                return found
            }
        }
    }

    /// Looks at each object of a slab, and at what is behind the last.
    @inline(never)
    private func validate(_ slab: SlabPage) -> Int {
        var found = 0
        for index in 0..<layout.objectCount {
            let object = slab.address(of: index, slotSize: layout.slotSize)
            switch slab.state(index) {
            // Free and not in the bitmap is on its way from one to the other.
            case .free where !slab.isMarkedFree(index): break
            case .free, .waiting: found += checkSurroundings(of: object, isFree: true, in: "validate")
            case .allocated: found += checkSurroundings(of: object, isFree: false, in: "validate")
            case .reserved:
                found += checkSurroundings(of: object, isFree: false, in: "validate")
                found += checkReserved(object, in: "validate")
            default: break
            }
        }
        return found + validateTail(slab)
    }

    private func validateTail(_ slab: SlabPage) -> Int {
        guard flags.contains(.poison) else { return 0 }
        let block = slab.base &- layout.objectOffset
        let used = layout.slotSize &* UInt(layout.objectCount)
        let damage = SlabBytes.damage(
            block &+ used, layout.frameCount << PageSize.shift &- used, expecting: SlabBytes.padding)
        guard let damage else { return 0 }
        report(
            damage, .overrun, "Padding", of: PartCheck(object: slab.base, call: "validate"),
            expecting: SlabBytes.padding)
        return 1
    }

    /// Compares a slab's count of free objects with the objects.
    @inline(never)
    private func validateCount(_ slab: SlabPage, _ state: inout State) -> Int {
        let counted = slab.countFree()
        if slab.freeCount == counted { return 0 }
        debugging.value.report(headerViolation(slab, counted, in: "validate"))
        putRight(slab, counted, &state)
        return 1
    }

    /// Looks whether the header of an object's slab is as it should be, and reports what is not.
    func checkHeader(of object: UInt, in call: StaticString) {
        withState { state in
            guard let slab = slab(of: object) else { return }
            let counted = slab.countFree()
            if slab.freeCount == counted { return }
            debugging.value.report(headerViolation(slab, counted, in: call))
            putRight(slab, counted, &state)
        }
    }

    /// Gives a slab the count that its bitmap says. The cache's own sum does not come from the slab's.
    private func putRight(_ slab: SlabPage, _ counted: Int, _ state: inout State) {
        slab.freeCount = counted
        state.lists.place(slab)
        debugging.value.countRepair()
    }

    private func headerViolation(_ slab: SlabPage, _ counted: Int, in call: StaticString) -> MemoryViolation {
        var violation = MemoryViolation(
            .corruption, in: call, at: slab.base, "Wrong object count", UInt(bitPattern: slab.freeCount))
        violation.origin = slab.base
        return violation
    }

    /// Reports that the cache is to end and has objects in use, slab by slab, with who allocated them.
    /// - Returns: how many there are. - Complexity: O(objects in slabs).
    @discardableResult
    func reportRemaining() -> Int {
        debugging.value.lock.withLock {
            withState { state in
                var remaining = 0
                for list in 0..<SlabLists.count {
                    var next = state.lists.first(in: list)
                    while let slab = next {
                        remaining += reportRemaining(in: slab)
                        next = slab.next
                    }
                }
                return remaining
            }
        }
    }

    private func reportRemaining(in slab: SlabPage) -> Int {
        var count = 0
        for index in 0..<slab.objectCount where slab.state(index).isInUse { count += 1 }
        if count == 0 { return 0 }
        debugging.value.report(
            MemoryViolation(
                .objectInUse, in: "kmem_cache_destroy", at: slab.base, "Objects remaining", UInt(bitPattern: count)))
        // A line for each.
        debugging.value.countRepair(UInt(bitPattern: count))
        return count
    }
}

extension SlabPage {
    /// The objects that the bitmap says are free. - Complexity: O(words of the bitmap).
    func countFree() -> Int {
        var count = 0
        for index in 0..<objectCount where isMarkedFree(index) { count += 1 }
        return count
    }
}
