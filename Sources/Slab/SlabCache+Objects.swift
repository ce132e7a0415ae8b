import MemoryPrimitives
import PageFrames

// What happens when this CPU's magazine cannot serve a call by itself.
extension SlabCache {
    /// An object when the magazine has none, or somebody else holds it: the magazine is filled first where that is
    /// possible, from the depot, from slabs, or from a new slab where none has a free object.
    ///
    /// Making a slab may wait: nothing is held then, and others may be quicker with all of the new slab.
    /// - Returns: nil where there is no memory within the meaning of the flags.
    @inline(never)
    func allocateSlow(_ flags: AllocationFlags, _ requested: UInt = 0) -> UInt? {
        if isWatched { return allocateWatched(flags, requested) }
        if let object = takeObject(adding: nil) ?? borrow(requested) { return object }
        while true {
            guard let slab = makeSlab(flags) else { return nil }
            if let object = takeObject(adding: slab) { return object }
        }
    }

    /// An object, by way of the magazine where that is possible; nil where neither depot nor slabs have one.
    /// - Parameter slab: a new one to be added first.
    private func takeObject(adding slab: SlabPage?) -> UInt? {
        let magazine = magazine(P.currentCPU)
        guard magazine.tryHold() else {
            if let slab { add(slab) }
            return takeSingle()
        }
        if _slowPath(magazine.limit == 0) {
            // Off, as for all CPUs: nothing is to lie in it.
            magazine.letGo()
            if let slab { add(slab) }
            return takeSingle()
        }
        defer { magazine.letGo() }
        if magazine.count == 0 || slab != nil { refill(magazine, adding: slab) }
        let last = magazine.count &- 1
        if last < 0 { return nil }
        magazine.count = last
        let entry = magazine.entry(last)
        entry.setState(.allocated)
        return entry.object
    }

    /// An object from the fullest slab or the depot, past the magazines; nil where they have none.
    func takeSingle() -> UInt? { withState { state in takeSingle(&state) } }

    /// The same for who holds the lock.
    func takeSingle(_ state: inout State) -> UInt? {
        guard let slab = state.lists.fullestUsable else {
            guard let entry = state.depot.takeOne() else { return nil }
            entry.setState(.allocated)
            return entry.object
        }
        var object: UInt = 0
        let taken = slab.take(1, random: state.nextRandom()) { index, _ in
            slab.setState(index, .allocated)
            object = slab.address(of: index, slotSize: layout.slotSize)
        }
        state.freeObjects &-= taken
        state.lists.place(slab)
        return taken == 0 ? damaged(slab) : object
    }

    /// Fills a magazine, which the caller holds, from the depot or to three quarters from slabs. - Complexity: O(objects).
    /// - Parameter slab: a new one, in no list, which is added first: the magazine may have objects then.
    private func refill(_ magazine: Magazine<P>, adding slab: SlabPage?) {
        let goal = max(magazine.limit / 4 &* 3, 1)
        withState { state in
            if let slab {
                state.count(slab)
                take(from: slab, &state, magazine, goal)
            } else if state.depot.fill(magazine) {
                state.borrowedObjects = 0
                return
            }
            while magazine.count < goal, let slab = state.lists.fullestUsable {
                if !take(from: slab, &state, magazine, goal) {
                    _ = damaged(slab)
                    break
                }
            }
            if magazine.count > 0 { state.borrowedObjects = 0 }
        }
    }

    /// Moves free objects of a slab into a magazine, up to `goal`. - Returns: false where there was none.
    @inline(__always)
    @discardableResult
    private func take(from slab: SlabPage, _ state: inout State, _ magazine: Magazine<P>, _ goal: Int) -> Bool {
        let start = magazine.count
        let taken =
            start >= goal
            ? 0
            : slab.take(goal &- start, random: state.nextRandom()) { index, position in
                magazine.put(entry(slab, index), at: start &+ position)
            }
        magazine.count = start &+ taken
        state.freeObjects &-= taken
        state.lists.place(slab)
        return taken != 0
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

    /// Takes back an object, free but in no magazine, when the magazine is full or somebody else holds it: all but a quarter
    /// goes to the depot first, or to the slabs.
    @inline(never)
    func freeSlow(_ entry: Magazine<P>.Entry) {
        if isWatched { return freeWatched(entry) }
        let magazine = magazine(P.currentCPU)
        guard magazine.tryHold() else { return putSingle(entry) }
        if _slowPath(magazine.limit == 0) {
            // Off: nothing is to lie in it.
            magazine.letGo()
            return putSingle(entry)
        }
        let surplus = magazine.count >= magazine.limit ? makeRoom(magazine) : nil
        magazine.put(entry, at: magazine.count)
        magazine.count = magazine.count &+ 1
        magazine.letGo()
        retire(surplus)
    }

    /// Puts an object back into its slab, past the magazines.
    func putSingle(_ entry: Magazine<P>.Entry) {
        let surplus = withState { state -> SlabPage? in
            guard let slab = slab(of: entry.object) else { return nil }
            slab.markFree(unsafe slab.index(ofState: entry.state))
            slab.freeCount = slab.freeCount &+ 1
            state.freeObjects &+= 1
            var surplus: SlabPage?
            putBack(slab, &state, &surplus)
            return surplus
        }
        retire(surplus)
    }

    /// Puts a slab whose objects have become free where it belongs: into a list, or, where it is wholly free and enough
    /// such slabs are kept, in front of `surplus`, to be given back.
    @inline(__always)
    private func putBack(_ slab: SlabPage, _ state: inout State, _ surplus: inout SlabPage?) {
        if slab.freeCount == slab.objectCount, !flags.contains(.typesafe),
            state.lists.slabCount(in: SlabLists.empty) >= keptEmptySlabs, slab.list != SlabLists.empty
        {
            state.takeOut(slab)
            slab.next = surplus
            surplus = slab
        } else {
            state.lists.place(slab)
        }
    }

    /// Puts the uppermost objects of a magazine, which the caller holds, back into their slabs, all but `left`.
    /// - Returns: slabs to be given back, each the one after it by `next`. - Complexity: O(objects).
    func drain(_ magazine: Magazine<P>, to left: Int) -> SlabPage? {
        let surplus = putBack(magazine.entries, from: magazine.count, to: left)
        magazine.count = left
        return surplus
    }

    /// Puts objects back into their slabs, those below position `end` down to position `start`.
    /// - Returns: slabs to be given back, each the one after it by `next`. - Complexity: O(objects).
    func putBack(_ entries: EntryList<P>, from end: Int, to start: Int) -> SlabPage? {
        withState { state in
            var surplus: SlabPage?
            var position = end
            state.freeObjects &+= end &- start
            while position > start {
                if let slab = slab(of: entries[position &- 1].object) {
                    let next = putRun(slab, entries, position, start)
                    if _fastPath(next != position) {
                        position = next
                        putBack(slab, &state, &surplus)
                        continue
                    }
                }
                reportLost(entries[position &- 1].object)
                state.freeObjects &-= 1
                position &-= 1
            }
            return surplus
        }
    }

    /// Only objects of slabs are noted down, each with its own state: what is otherwise is lost.
    @inline(never)
    private func reportLost(_ object: UInt) {
        P.report(MemoryViolation(.corruption, in: "kfree", at: object, "a magazine or bucket holds no object"))
    }

    /// Puts the objects of one slab that follow each other in a list, from below `position` down, back into the slab.
    /// - Returns: the position that was not reached.
    @inline(__always)
    private func putRun(_ slab: SlabPage, _ entries: EntryList<P>, _ position: Int, _ start: Int) -> Int {
        let slots = UInt(bitPattern: slab.objectCount)
        var position = position
        var put = 0
        while position > start {
            let index = unsafe slab.index(ofState: entries[position &- 1].state)
            if UInt(bitPattern: index) >= slots { break }
            slab.markFree(index)
            put &+= 1
            position &-= 1
        }
        slab.freeCount = slab.freeCount &+ put
        return position
    }

    /// The slab that the frame of `address` belongs to; nil where it is no slab's.
    @inline(__always)
    func slab(of address: UInt) -> SlabPage? {
        let physical = frames.value.directMap.physicalAddress(of: VirtualAddress(address))
        return frames.value.table.slabOwner(of: PageFrameNumber(containing: physical)).map(SlabPage.init(name:))
    }
}
