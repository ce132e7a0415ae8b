import MemoryPrimitives
import PageFrames
import Synchronization

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
        guard let slab = slab(of: address), let index = slab.index(of: address) else {
            freeUncommon(address)
            return
        }
        // index(of:) answers only indices of the slab's objects.
        let state = unsafe slab.statePointer(index)
        // One exchange decides which of two racing frees is the second. State bytes outlive the objects.
        let isOurs = unsafe state.pointee.compareExchange(
            expected: ObjectState.allocated.rawValue, desired: ObjectState.cached.rawValue, ordering: .relaxed
        ).exchanged
        guard isOurs else {
            freeUncommon(address)
            return
        }
        // The object and its own state byte.
        keep(unsafe Magazine.Entry(object: address, state: state), slab.cacheIndex)
    }

    @inline(__always)
    private func keep(_ entry: Magazine.Entry, _ cacheIndex: Int) {
        let interrupts = P.disableInterrupts()
        defer { P.restoreInterrupts(interrupts) }
        let magazine = rack.magazine(ofCache: cacheIndex, cpu: P.currentCPU)
        if !magazine.push(entry) { drainAndPush(magazine, entry, cacheIndex) }
    }

    @inline(never)
    private func drainAndPush(_ magazine: Magazine, _ entry: Magazine.Entry, _ cacheIndex: Int) {
        caches[cacheIndex].value.drain(magazine, count: magazine.depth / 2)
        _ = magazine.push(entry)
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
        let state = unsafe descriptor.pointee.state
        guard state == .slab || state == .slabTail else { return nil }
        return unsafe SlabPage(headerAddress: descriptor.pointee.owner)
    }

    /// nil, no bytes, a large block, or an error.
    @inline(never)
    private func freeUncommon(_ address: UInt) {
        if address == 0 || address == Self.zeroSizeAddress { return }
        if address & (PageSize.byteCount &- 1) == 0, slab(of: address) == nil,
            largeBlocks.free(frame(of: address), to: frames)
        {
            return
        }
        P.report(diagnose(address, in: "kfree"))
    }

    /// What is wrong with an address that is not an allocated object or block. - Complexity: O(orders).
    func diagnose(_ address: UInt, in call: StaticString) -> MemoryViolation {
        func violation(_ kind: MemoryViolation.Kind, _ detail: StaticString, _ value: UInt = 0) -> MemoryViolation {
            MemoryViolation(kind, in: call, at: address, detail, value)
        }
        let frame = frame(of: address)
        guard let slab = slab(of: address) else {
            switch blockState(covering: frame) {
            case .free: return violation(.doubleFree, "the address lies in free memory")
            case .allocated(let order, let isLarge) where isLarge:
                return violation(
                    .misalignedFree, "the address lies within a block of this size", PageSize.byteCount << UInt(order))
            default: return violation(.wildFree, "the address is not kmalloc's")
            }
        }
        let size = caches[slab.cacheIndex].value.layout.objectSize
        if slab.cacheIndex == Self.headerCacheIndex {
            return violation(.wildFree, "the address is a slab's header")
        }
        guard let index = slab.index(of: address) else {
            if address &- slab.base < size &* UInt(slab.objectCount) {
                return violation(.misalignedFree, "the address lies within an object of this size", size)
            }
            return violation(.wildFree, "the address lies behind the objects of a slab of this size", size)
        }
        switch slab.state(index) {
        case .free, .cached, .allocated, .seen: return violation(.doubleFree, "the object of this size is free", size)
        default: return violation(.corruption, "the object's state is damaged, for this size", size)
        }
    }

    private enum BlockState {
        case free
        case allocated(order: Int, isLarge: Bool)
        case other
    }

    /// The block that `frame` lies in, its head or not. - Complexity: O(orders).
    private func blockState(covering frame: PageFrameNumber) -> BlockState {
        if let block = frames.value.block(covering: frame) {
            let isLarge = frames.value.tag(of: block.head) == LargeBlocks<P>.tag
            return block.state == .allocatedHead ? .allocated(order: block.order, isLarge: isLarge) : .other
        }
        // A frame in no block that is in use is free, in a zone or in a frame cache, or was never handed out.
        switch frames.value.state(of: frame) {
        case .free, .interior: return .free
        default: return .other
        }
    }
}
