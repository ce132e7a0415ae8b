import MemoryPrimitives
import PageFrames

/// Objects of one size, cut from slabs. Magazines stand in front of it; this is what they are filled from.
///
/// A slab is in the list that its number of free objects says. Of slabs wholly free one is kept, so that a load that
/// goes up and down by one object does not fetch and return a slab each time; the others go back to the buddy.
@safe
struct SlabCache<P: Platform>: ~Copyable {
    /// What changes, under the lock.
    struct State {
        var partial = SlabList()
        var full = SlabList()
        var empty = SlabList()
        /// Objects in state `free` in all slabs.
        var freeObjects = 0
        /// Slabs fetched from the buddy and given back, since bring-up.
        var slabsFetched: UInt = 0
        var slabsReturned: UInt = 0

        var slabCount: Int { partial.count + full.count + empty.count }

        /// Puts a slab into the list that its number of free objects says. - Complexity: O(1).
        mutating func place(_ slab: SlabPage) {
            let free = slab.freeCount
            let list: SlabHeader.List = free == 0 ? .full : free == slab.objectCount ? .empty : .partial
            if slab.list == list { return }
            unlink(slab)
            switch list {
            case .full: full.insert(slab)
            case .partial: partial.insert(slab)
            case .empty: empty.insert(slab)
            case .none: break
            }
            slab.list = list
        }

        /// Takes a slab out of its list, if it is in one. - Complexity: O(1).
        mutating func unlink(_ slab: SlabPage) {
            switch slab.list {
            case .full: full.remove(slab)
            case .partial: partial.remove(slab)
            case .empty: empty.remove(slab)
            case .none: break
            }
            slab.list = .none
        }
    }

    /// Slabs wholly free that a cache keeps.
    static var keptEmptySlabs: Int { 1 }

    let name: StaticString
    /// The cache's place in `Kmalloc`.
    let index: Int
    let layout: SlabLayout
    /// The zone that the slabs' frames come from: `.dma` or none.
    let zone: AllocationFlags
    let frames: Permanent<PageFrameAllocator<P>>
    /// Where the headers come from that do not lie in their slabs.
    let headers: Permanent<SlabCache<P>>?
    let lock = SpinLock<P>()
    let state: UnsafeMutablePointer<State>

    /// A cache without slabs. `state` is memory for its state, never given back.
    @unsafe
    init(
        name: StaticString, index: Int, layout: SlabLayout, zone: AllocationFlags,
        frames: Permanent<PageFrameAllocator<P>>, headers: Permanent<SlabCache<P>>?,
        state: UnsafeMutablePointer<State>
    ) {
        self.name = name
        self.index = index
        self.layout = layout
        self.zone = zone
        self.frames = frames
        self.headers = headers
        // Room for the state alone, by init's contract.
        unsafe self.state = state
        unsafe state.initialize(to: State())
    }

    /// Runs `body` on the state with the lock held.
    @inline(__always)
    func withState<Result: ~Copyable>(_ body: (inout State) -> Result) -> Result {
        // The cache's own memory, under its lock.
        lock.withLock { unsafe body(&state.pointee) }
    }

    // MARK: Magazines

    /// Makes a slab, without the lock: that takes the header cache's lock and the zone's, and may wait where the flags
    /// say so. - Parameter flags: those of the allocation that found no free object.
    /// - Returns: false where there is no memory within the meaning of the flags. - Complexity: O(frames + objects).
    func addSlab(_ flags: AllocationFlags) -> Bool {
        guard let slab = makeSlab(flags) else { return false }
        withState { state in
            state.slabsFetched &+= 1
            state.freeObjects &+= slab.objectCount
            state.place(slab)
        }
        return true
    }

    /// Moves up to `count` free objects into this CPU's magazine.
    ///
    /// With interrupts disabled. - Returns: false where the cache has no free object. - Complexity: O(count).
    func fill(_ magazine: Magazine, count: Int) -> Bool {
        withState { state in
            var left = count
            while left > 0, let slab = state.partial.first ?? state.empty.first {
                while left > 0, let index = slab.takeFree(for: .cached) {
                    state.freeObjects &-= 1
                    _ = magazine.push(entry(slab, index))
                    left &-= 1
                }
                let isDamaged = left > 0 && slab.freeCount != 0
                state.place(slab)
                if isDamaged {
                    // Its header counts objects that its bitmap does not have: going on would never end.
                    P.report(
                        MemoryViolation(
                            .corruption, in: "kmalloc", at: slab.headerAddress, "the slab's header is damaged"))
                    break
                }
            }
            return left < count
        }
    }

    /// The magazine's entry for an object.
    @inline(__always)
    func entry(_ slab: SlabPage, _ index: Int) -> Magazine.Entry {
        // The slab has an object with this index, since it was asked for one.
        unsafe Magazine.Entry(
            object: slab.base &+ UInt(bitPattern: index) &* layout.objectSize, state: slab.statePointer(index))
    }

    /// Puts `count` objects of a magazine back into their slabs, and slabs wholly free, beyond those kept, back to the
    /// buddy. For the magazine's CPU with interrupts disabled, or on a machine at rest. - Complexity: O(count).
    func drain(_ magazine: Magazine, count: Int) {
        let surplus = withState { state in
            for _ in 0..<count {
                guard let entry = magazine.pop() else { break }
                guard let slab = slab(of: entry.object), let index = slab.index(of: entry.object) else {
                    P.report(
                        MemoryViolation(.corruption, in: "kfree", at: entry.object, "a magazine holds no object"))
                    continue
                }
                put(index, in: slab, &state)
            }
            return takeEmpty(keeping: Self.keptEmptySlabs, &state)
        }
        retire(surplus)
    }

    /// Gives all slabs that are wholly free back to the buddy. - Complexity: O(slabs given back).
    func shrink() {
        retire(withState { state in takeEmpty(keeping: 0, &state) })
    }

    private func put(_ index: Int, in slab: SlabPage, _ state: inout State) {
        slab.putFree(index)
        state.freeObjects &+= 1
        state.place(slab)
    }

    /// Unlinks slabs wholly free, all but `kept` of them, and returns them chained by `next`.
    private func takeEmpty(keeping kept: Int, _ state: inout State) -> SlabPage? {
        var chain: SlabPage?
        while state.empty.count > kept, let slab = state.empty.first {
            state.unlink(slab)
            state.freeObjects &-= slab.objectCount
            state.slabsReturned &+= 1
            slab.next = chain
            chain = slab
        }
        return chain
    }

    /// The slab that the frame of `address` belongs to; nil where it is no slab's.
    func slab(of address: UInt) -> SlabPage? {
        let physical = frames.value.directMap.physicalAddress(of: VirtualAddress(address))
        let frame = PageFrameNumber(containing: physical)
        switch frames.value.state(of: frame) {
        case .slab, .slabTail: return frames.value.owner(of: frame).flatMap(SlabPage.init(headerAddress:))
        default: return nil
        }
    }

    // MARK: Headers of other caches' slabs

    /// Takes one object for the header of a slab. - Returns: its address, or nil without memory. - Complexity: as `addSlab`.
    func allocateHeader(_ flags: AllocationFlags) -> UInt? {
        while true {
            if let address = takeHeader() { return address }
            guard addSlab(flags) else { return nil }
        }
    }

    private func takeHeader() -> UInt? {
        withState { state in
            guard let slab = state.partial.first ?? state.empty.first, let index = slab.takeFree(for: .header)
            else { return nil }
            state.freeObjects &-= 1
            state.place(slab)
            return slab.base &+ UInt(bitPattern: index) &* layout.objectSize
        }
    }

    /// Gives back what `allocateHeader` returned.
    func freeHeader(_ address: UInt) {
        let surplus = withState { state -> SlabPage? in
            guard let slab = slab(of: address), let index = slab.index(of: address), slab.state(index) == .header
            else {
                P.report(MemoryViolation(.corruption, in: "kfree", at: address, "a slab's header is no header"))
                return nil
            }
            put(index, in: slab, &state)
            return takeEmpty(keeping: Self.keptEmptySlabs, &state)
        }
        retire(surplus)
    }

    // MARK: Slabs

    /// Fetches a block and makes it a slab, in no list yet. What was taken is given back on failure.
    private func makeSlab(_ flags: AllocationFlags) -> SlabPage? {
        guard let frame = frames.value.allocate(order: layout.order, flags: flags.forSlab | zone) else { return nil }
        let base = frames.value.directMap.virtualAddress(of: frame.address).rawValue
        var headerAddress = base
        if let offset = layout.headerOffset {
            headerAddress = base &+ offset
        } else if let headers {
            guard let address = headers.value.allocateHeader(flags) else {
                frames.value.free(frame, order: layout.order)
                return nil
            }
            headerAddress = address
        }
        // The end of our own block, or an object that the header cache sized for a header; neither is null.
        let slab = unsafe SlabPage(
            at: UnsafeMutableRawPointer(bitPattern: headerAddress).unsafelyUnwrapped, base: base, layout: layout,
            cacheIndex: index)
        frames.value.claim(frame, order: layout.order, as: .slab, owner: headerAddress)
        return slab
    }

    /// Gives slabs, chained by `next`, wholly free and in no list, back to the buddy.
    private func retire(_ chain: SlabPage?) {
        var rest = chain
        while let slab = rest {
            rest = slab.next
            let frame = PageFrameNumber(
                containing: frames.value.directMap.physicalAddress(of: VirtualAddress(slab.base)))
            frames.value.release(frame, order: layout.order, from: .slab)
            if layout.headerOffset == nil, let headers { headers.value.freeHeader(slab.headerAddress) }
            frames.value.free(frame, order: layout.order)
        }
    }
}
