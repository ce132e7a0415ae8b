import MemoryPrimitives
import PageFrames

// Slabs: from the buddy and back.
extension SlabCache {
    /// Frames of slabs wholly free that a cache keeps; one slab at least.
    static var keptEmptyFrames: Int { 8 }

    /// The slabs wholly free that are kept.
    var keptEmptySlabs: Int { max(1, Self.keptEmptyFrames >> layout.order) }

    /// Makes a slab, without the lock: that takes the zone's, and may wait where the flags say so.
    /// - Parameter flags: those of the allocation that found no free object.
    /// - Returns: false where there is no memory within the meaning of the flags. - Complexity: O(frames + objects).
    func addSlab(_ flags: AllocationFlags) -> Bool {
        guard let slab = makeSlab(flags) else { return false }
        withState { state in
            state.slabsFetched &+= 1
            state.freeObjects &+= slab.objectCount
            state.lists.place(slab)
        }
        return true
    }

    /// Gives slabs wholly free, beyond those that are kept, back to the buddy. - Complexity: O(slabs given back).
    func trim() {
        while let slab = withState({ state in takeEmpty(keeping: keptEmptySlabs, &state) }) { retire(slab) }
    }

    /// Empties the magazines of all CPUs, but for those that are held, and gives all slabs that are wholly free back.
    /// - Returns: the frames given back. - Complexity: O(objects in magazines + slabs given back).
    func shrink() -> UInt {
        for cpu in 0..<P.cpuCount {
            let magazine = magazine(cpu)
            guard magazine.count > 0, magazine.tryHold() else { continue }
            _ = drain(magazine, to: 0)
            magazine.letGo()
        }
        var frames: UInt = 0
        while let slab = withState({ state in takeEmpty(keeping: 0, &state) }) {
            retire(slab)
            frames += layout.frameCount
        }
        return frames
    }

    /// Unlinks a slab wholly free where there are more than `kept`.
    private func takeEmpty(keeping kept: Int, _ state: inout State) -> SlabPage? {
        guard !flags.contains(.typesafe), state.lists.slabCount(in: SlabLists.empty) > kept,
            let slab = state.lists.first(in: SlabLists.empty)
        else { return nil }
        state.lists.unlink(slab)
        state.freeObjects &-= slab.objectCount
        state.slabsReturned &+= 1
        return slab
    }

    /// Fetches a block and makes it a slab, in no list yet. What was taken is given back on failure.
    private func makeSlab(_ flags: AllocationFlags) -> SlabPage? {
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
            magazines: magazines, cache: address)
        frames.value.claim(frame, order: layout.order, as: .slab, owner: slab.name)
        return slab
    }

    /// Gives a slab, wholly free and in no list, back to the buddy.
    private func retire(_ slab: SlabPage) {
        let frame = PageFrameNumber(
            containing: frames.value.directMap.physicalAddress(of: VirtualAddress(slab.base)))
        frames.value.release(frame, order: layout.order, from: .slab)
        frames.value.free(frame, order: layout.order)
        headers.value.free(slab.headerAddress, layout.headerByteCount)
    }
}
