import MemoryPrimitives
import PageFrames

// Slabs: from the buddy and back.
extension SlabCache {
    /// Frames of slabs wholly free that a cache keeps; one slab at least.
    static var keptEmptyFrames: Int { 8 }

    /// Makes a slab, without the lock: that takes the zone's, and may wait where the flags say so.
    /// - Parameter flags: those of the allocation that found no free object.
    /// - Returns: false where there is no memory within the meaning of the flags. - Complexity: O(frames + objects).
    func addSlab(_ flags: AllocationFlags) -> Bool {
        guard let slab = makeSlab(flags) else { return false }
        add(slab)
        return true
    }

    /// Adds a new slab, which is in no list.
    func add(_ slab: SlabPage) {
        withState { state in
            state.count(slab)
            state.lists.place(slab)
        }
    }

    /// Empties the magazines of all CPUs, but for those that are held, and the depot, and gives all slabs that are wholly
    /// free back.
    /// - Returns: the frames given back. - Complexity: O(objects in magazines and depot + slabs given back). Any context.
    public func shrink() -> UInt {
        if isWatched { emptyQuarantine() }
        var frames: UInt = 0
        for cpu in 0..<P.cpuCount {
            let magazine = magazine(cpu)
            guard magazine.count > 0, magazine.tryHold() else { continue }
            let surplus = drain(magazine, to: 0)
            magazine.letGo()
            frames += retire(surplus)
        }
        frames += emptyDepot()
        return frames + returnEmptySlabs(upTo: .max)
    }

    /// Gives slabs that are wholly free back, with the magazines as they are, until `target` frames are reached.
    /// - Parameter isEnding: whether a cache that keeps its memory for objects of its type gives it up as well.
    /// - Returns: the frames given back. - Complexity: O(slabs given back).
    func returnEmptySlabs(upTo target: UInt, isEnding: Bool = false) -> UInt {
        if flags.contains(.typesafe), !isEnding { return 0 }
        let surplus = withState { state -> SlabPage? in
            var surplus: SlabPage?
            var frames: UInt = 0
            while frames < target, let slab = state.lists.first(in: SlabLists.empty) {
                state.takeOut(slab)
                slab.next = surplus
                surplus = slab
                frames &+= layout.frameCount
            }
            return surplus
        }
        return retire(surplus)
    }

    /// Gives slabs, wholly free and in no list, each the one after it by `next`, back to the buddy.
    /// - Returns: the frames given back.
    @discardableResult
    @inline(__always)
    func retire(_ first: SlabPage?) -> UInt {
        var frames: UInt = 0
        var rest = first
        while let slab = rest {
            rest = slab.next
            retire(slab)
            frames &+= layout.frameCount
        }
        return frames
    }

    /// Fetches a block and makes it a slab, in no list yet. What was taken is given back on failure.
    func makeSlab(_ flags: AllocationFlags) -> SlabPage? {
        guard let frame = frames.value.allocate(order: layout.order, flags: flags.forSlab | zone | .noLeakTrace) else {
            return nil
        }
        guard let header = headers.value.allocate(layout.headerByteCount, flags.forSlab) else {
            frames.value.free(frame, order: layout.order)
            return nil
        }
        let base = frames.value.directMap.virtualAddress(of: frame.address).rawValue &+ layout.objectOffset
        // A slot that the pool has just given, large enough; and this value never moves.
        let slab = unsafe SlabPage(
            at: UnsafeMutableRawPointer(bitPattern: header).unsafelyUnwrapped, base: base, layout: layout,
            usableSize: self.flags.contains(.redZone) ? 0 : layout.objectSize, magazines: magazines)
        if isWatched { prepareForChecks(slab) }
        if let constructor = unsafe registration.constructor { unsafe construct(slab, constructor) }
        frames.value.claim(frame, order: layout.order, as: .slab, owner: slab.name)
        return slab
    }

    /// Sets up all objects of a slab that nobody else knows yet.
    @inline(never)
    private func construct(_ slab: SlabPage, _ constructor: ObjectConstructor) {
        for index in 0..<layout.objectCount {
            // The slab's own objects.
            let object = slab.address(of: index, slotSize: layout.slotSize)
            unsafe constructor(UnsafeMutableRawPointer(bitPattern: object).unsafelyUnwrapped)
        }
    }

    /// Gives a slab, wholly free and in no list, back to the buddy.
    @inline(never)
    private func retire(_ slab: SlabPage) {
        let frame = firstFrame(of: slab)
        frames.value.release(frame, order: layout.order, from: .slab)
        frames.value.free(frame, order: layout.order)
        headers.value.free(slab.headerAddress, layout.headerByteCount)
    }

    /// The first frame of a slab's block: object 0 may begin some way behind it.
    func firstFrame(of slab: SlabPage) -> PageFrameNumber {
        PageFrameNumber(
            containing: frames.value.directMap.physicalAddress(of: VirtualAddress(slab.base &- layout.objectOffset)))
    }
}
