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
        guard let owner = table.slabOwner(of: frame(of: address)) else { return Self.freeUncommon(self, address) }
        let slab = SlabPage(name: owner)
        guard let index = slab.index(of: address), slab.retract(index) else {
            return Self.freeUncommon(self, address)
        }
        // The object's own state byte.
        let entry = unsafe Magazine<P>.Entry(object: address, state: slab.statePointer(index))
        let magazine = Magazine<P>(at: slab.magazines, cpu: P.currentCPU)
        if !magazine.free(entry) { magazine.freeSlow(entry) }
    }

    /// The frame of an address; one beyond the frame table for addresses below the direct map, nil among them.
    @inline(__always)
    func frame(of address: UInt) -> PageFrameNumber {
        PageFrameNumber(containing: directMap.physicalAddress(of: VirtualAddress(address)))
    }

    /// The slab that the frame of `address` belongs to; nil where it is no slab's.
    @inline(__always)
    func slab(of address: UInt) -> SlabPage? {
        // A slab with an allocated object is not given back, so for a correct caller it stays. A double free that races
        // with another CPU giving the slab back may look at a header that is one no longer: such a misuse is not sure to
        // be caught.
        table.slabOwner(of: frame(of: address)).map(SlabPage.init(name:))
    }

    /// nil, no bytes, a large block, or an error.
    ///
    /// Not a method, so that calling it is a jump, and the short way saves no register.
    @inline(never)
    private static func freeUncommon(_ kmalloc: borrowing Kmalloc<P>, _ address: UInt) {
        if address == 0 || address == zeroSizeAddress { return }
        if P.isTracing { kmalloc.traceUncommonFree(address) }
        let outer = P.enterTracedCall()
        defer { P.leaveTracedCall(outer) }
        if address & (PageSize.byteCount &- 1) == 0,
            kmalloc.largeBlocks.free(kmalloc.frame(of: address), to: kmalloc.frames)
        {
            return
        }
        if kmalloc.guarded.free(address, from: nil, in: "kfree") { return }
        kmalloc.complain(of: address, in: "kfree")
    }
}
