import MemoryPrimitives
import PageFrames

// What happens when this CPU's magazine cannot serve a call by itself.
extension SlabCache {
    /// An object when the magazine has none, or somebody else holds it: the magazine is filled first where that is
    /// possible, from a new slab where no slab has a free object.
    ///
    /// Making a slab may wait: nothing is held then, and others may be quicker with all of the new slab.
    /// - Returns: nil where there is no memory within the meaning of the flags.
    @inline(never)
    func allocateSlow(_ flags: AllocationFlags, _ requested: UInt = 0) -> UInt? {
        if isWatched { return allocateWatched(flags, requested) }
        while true {
            if let object = takeObject() { return object }
            guard addSlab(flags) else { return nil }
        }
    }

    private func takeObject() -> UInt? {
        let magazine = magazine(P.currentCPU)
        guard magazine.tryHold() else { return takeSingle() }
        defer { magazine.letGo() }
        if magazine.count == 0 { refill(magazine, max(1, magazine.limit / 2)) }
        let last = magazine.count &- 1
        if last < 0 { return nil }
        magazine.count = last
        let entry = magazine.entry(last)
        entry.setState(.allocated)
        return entry.object
    }

    /// An object from the fullest slab, past the magazines; nil where no slab has one.
    func takeSingle() -> UInt? {
        withState { state in
            guard let slab = state.lists.fullestUsable else { return nil }
            var object: UInt = 0
            let taken = slab.take(1, random: state.nextRandom()) { index, _ in
                slab.setState(index, .allocated)
                object = slab.address(of: index, slotSize: layout.slotSize)
            }
            state.freeObjects &-= taken
            state.lists.place(slab)
            return taken == 0 ? damaged(slab) : object
        }
    }

    /// Fills an empty magazine, which the caller holds, with up to `count` objects. - Complexity: O(count).
    private func refill(_ magazine: Magazine<P>, _ count: Int) {
        withState { state in
            var filled = 0
            while filled < count, let slab = state.lists.fullestUsable {
                let start = filled
                let taken = slab.take(count &- filled, random: state.nextRandom()) { index, position in
                    slab.setState(index, .cached)
                    magazine.put(entry(slab, index), at: start &+ position)
                }
                filled &+= taken
                state.lists.place(slab)
                if taken == 0 {
                    _ = damaged(slab)
                    break
                }
            }
            state.freeObjects &-= filled
            magazine.count = filled
        }
    }

    /// A slab whose header counts objects that its bitmap does not have: going on with it would never end.
    private func damaged(_ slab: SlabPage) -> UInt? {
        P.report(MemoryViolation(.corruption, in: "kmalloc", at: slab.headerAddress, "the slab's header is damaged"))
        return nil
    }

    /// The magazine's entry for an object.
    @inline(__always)
    func entry(_ slab: SlabPage, _ index: Int) -> Magazine<P>.Entry {
        // The slab has an object with this index, since it was asked for one.
        unsafe Magazine.Entry(
            object: slab.address(of: index, slotSize: layout.slotSize), state: slab.statePointer(index))
    }

    /// Takes back an object, in state `cached`, when the magazine is full or somebody else holds it: half of the magazine
    /// goes back to the slabs first where that is possible.
    @inline(never)
    func freeSlow(_ entry: Magazine<P>.Entry) {
        if isWatched { return freeWatched(entry) }
        let magazine = magazine(P.currentCPU)
        guard magazine.tryHold() else { return putSingle(entry) }
        let isTrimDue = magazine.count >= magazine.limit && drain(magazine, to: magazine.limit / 2)
        magazine.put(entry, at: magazine.count)
        magazine.count = magazine.count &+ 1
        magazine.letGo()
        if isTrimDue { trim() }
    }

    /// Puts an object back into its slab, past the magazines.
    func putSingle(_ entry: Magazine<P>.Entry) {
        let isTrimDue = withState { state in
            guard let slab = slab(of: entry.object) else { return false }
            slab.putFree(unsafe slab.index(ofState: entry.state))
            state.freeObjects &+= 1
            state.lists.place(slab)
            return state.lists.slabCount(in: SlabLists.empty) > keptEmptySlabs
        }
        if isTrimDue { trim() }
    }

    /// Puts the uppermost objects of a magazine, which the caller holds, back into their slabs, all but `left`.
    /// - Returns: whether `trim` has something to do. - Complexity: O(objects).
    func drain(_ magazine: Magazine<P>, to left: Int) -> Bool {
        withState { state in
            var position = magazine.count
            state.freeObjects &+= position &- left
            while position > left {
                guard let slab = slab(of: magazine.entry(position &- 1).object) else {
                    // A magazine holds objects of slabs only: whose frames say otherwise is lost.
                    P.report(
                        MemoryViolation(
                            .corruption, in: "kfree", at: magazine.entry(position &- 1).object,
                            "a magazine holds no object"))
                    state.freeObjects &-= 1
                    position &-= 1
                    continue
                }
                position = putRun(slab, magazine, position, left)
                state.lists.place(slab)
            }
            magazine.count = left
            return state.lists.slabCount(in: SlabLists.empty) > keptEmptySlabs
        }
    }

    /// Puts the objects of one slab that follow each other in a magazine, from `position` down, back into the slab.
    /// - Returns: the position that was not reached.
    @inline(__always)
    private func putRun(_ slab: SlabPage, _ magazine: Magazine<P>, _ start: Int, _ left: Int) -> Int {
        let count = UInt(bitPattern: slab.objectCount)
        var position = start
        while position > left {
            let index = unsafe slab.index(ofState: magazine.entry(position &- 1).state)
            if UInt(bitPattern: index) >= count { break }
            slab.putFree(index)
            position &-= 1
        }
        return position
    }

    /// The slab that the frame of `address` belongs to; nil where it is no slab's.
    @inline(__always)
    func slab(of address: UInt) -> SlabPage? {
        let physical = frames.value.directMap.physicalAddress(of: VirtualAddress(address))
        return frames.value.table.slabOwner(of: PageFrameNumber(containing: physical)).map(SlabPage.init(name:))
    }
}
