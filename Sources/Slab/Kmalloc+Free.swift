import MemoryPrimitives
import PageFrames

extension Kmalloc {
    /// Gives memory back.
    ///
    /// It is an error to free what is free already (`doubleFree`), an address within an object or a block but not at its
    /// start (`misalignedFree`), or what never came from here (`wildFree`): each is reported, and nothing changes. Of
    /// two CPUs that free one object at once, one is reported. An object that was freed and has been allocated again
    /// is its new user's: freeing it twice then cannot be told from freeing it once.
    ///
    /// - Parameter pointer: what `allocate` returned. nil and `zeroSizeAddress` are fine, and nothing happens.
    /// - Complexity: O(1) into the magazine; a batch into the slabs where that is full; O(orders) above 8192 bytes.
    @inline(__always)
    public func free(_ pointer: UnsafeMutableRawPointer?) {
        let address = UInt(bitPattern: pointer)
        // The address is followed to its slab: what it is the address of is checked on the way.
        guard let slab = slab(of: address), let index = slab.index(of: address), slab.retract(index) else {
            return freeUncommon(address)
        }
        // The object's own state byte.
        let entry = unsafe Magazine<P>.Entry(object: address, state: slab.statePointer(index))
        let magazine = Magazine<P>(at: slab.magazines, cpu: P.currentCPU)
        if !magazine.free(entry) { magazine.cache.value.freeSlow(entry) }
    }

    /// The frame of an address; one beyond the frame table for addresses below the direct map, nil among them.
    @inline(__always)
    func frame(of address: UInt) -> PageFrameNumber {
        PageFrameNumber(containing: directMap.physicalAddress(of: VirtualAddress(address)))
    }

    /// The slab that the frame of `address` belongs to; nil where it is no slab's.
    @inline(__always)
    func slab(of address: UInt) -> SlabPage? {
        guard let descriptor = unsafe table.descriptor(of: frame(of: address)) else { return nil }
        // The table's own descriptor. A slab with an allocated object is not given back, so for a correct caller it stays.
        // A double free that races with another CPU giving the slab back may look at a header that is one no longer: such
        // a misuse is not sure to be caught.
        guard unsafe descriptor.pointee.state.isSlab else { return nil }
        return unsafe SlabPage(headerAddress: descriptor.pointee.owner)
    }

    /// nil, no bytes, a large block, or an error.
    @inline(never)
    private func freeUncommon(_ address: UInt) {
        if address == 0 || address == Self.zeroSizeAddress || guarded.free(address, in: "kfree") { return }
        if address & (PageSize.byteCount &- 1) == 0, slab(of: address) == nil,
            largeBlocks.free(frame(of: address), to: frames)
        {
            return
        }
        P.report(diagnose(address, in: "kfree"))
    }
}
