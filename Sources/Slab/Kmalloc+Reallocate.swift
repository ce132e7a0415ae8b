import MemoryPrimitives
import PageFrames

extension Kmalloc {
    /// The bytes that an allocation really has, at least what was asked for.
    ///
    /// - Parameter pointer: what `allocate` returned. nil and `zeroSizeAddress` have 0 bytes.
    /// Who asks may use all of it: where what was not asked for is a red zone, that ends here.
    /// - Returns: 0 for anything else, too, after reporting it as `free` would.
    /// - Complexity: O(1).
    @inline(__always)
    public func size(of pointer: UnsafeRawPointer?) -> UInt {
        let address = UInt(bitPattern: pointer)
        guard let size = slabOfAllocated(address)?.usableSize, size != 0 else { return sizeInFull(of: address) }
        return size
    }

    /// The bytes that the object has in which an address lies, without a look at whether it is the object's first, and
    /// whether it is allocated: as Linux's `ksize`. Else as `size(of:)`.
    @inline(__always)
    func sizeAround(_ pointer: UnsafeRawPointer?) -> UInt {
        let address = UInt(bitPattern: pointer)
        guard let owner = table.slabOwner(of: frame(of: address)) else { return sizeInFull(of: address) }
        let size = SlabPage(name: owner).usableSize
        return _fastPath(size != 0) ? size : sizeInFull(of: address)
    }

    /// The slab of the allocated object that begins at an address; nil where none does.
    @inline(__always)
    private func slabOfAllocated(_ address: UInt) -> SlabPage? {
        guard let owner = table.slabOwner(of: frame(of: address)) else { return nil }
        let slab = SlabPage(name: owner)
        guard let index = slab.index(of: address), _fastPath(slab.state(index) == .allocated) else {
            return nil
        }
        return slab
    }

    @inline(never)
    private func sizeInFull(of address: UInt) -> UInt {
        guard let size = sizeUncommon(address, in: "ksize") else { return 0 }
        if let cache = redZonedCache(of: address) { cache.value.changeRequest(of: address, to: size) }
        return size
    }

    /// The cache of an address in a slab where its objects have red zones.
    private func redZonedCache(of address: UInt) -> Permanent<SlabCache<P>>? {
        guard let slab = slab(of: address) else { return nil }
        let cache = slab.cache(on: P.self)
        return cache.value.flags.contains(.redZone) ? cache : nil
    }

    /// The size of nothing, an object with red zones, a large block, a guarded object; nil, after a report, for what is
    /// not allocated.
    @inline(never)
    private func sizeUncommon(_ address: UInt, in call: StaticString) -> UInt? {
        if address == 0 || address == Self.zeroSizeAddress { return 0 }
        if let slab = slab(of: address), let index = slab.index(of: address), slab.state(index) == .allocated {
            return slab.cache(on: P.self).value.objectSize
        }
        if address & (PageSize.byteCount &- 1) == 0, let order = LargeBlocks<P>.order(of: frame(of: address), frames) {
            return PageSize.byteCount << UInt(order)
        }
        if guarded.contains(address) { return guarded.size(of: address, in: call) }
        complain(of: address, in: call)
        return nil
    }

    /// Changes the size of an allocation, whose contents are kept up to the smaller of the two sizes.
    ///
    /// Stays in place where the new size fits, shrinking included, as Linux's `krealloc` does.
    ///
    /// - Parameters:
    ///   - pointer: what `allocate` returned. nil and `zeroSizeAddress` make this an allocation. What is not allocated
    ///     is reported as `free` would.
    ///   - byteCount: bytes. 0 frees, and returns `zeroSizeAddress`.
    ///   - flags: with `.zero` what is gained is zero, if all earlier calls for this memory had it, too. With `.dma`
    ///     memory moves that lies outside the zone.
    /// - Returns: the allocation, perhaps elsewhere; nil where there is no memory: the old one is as before then.
    /// - Complexity: O(1), and O(bytes) where the contents move.
    @inline(__always)
    public func reallocate(
        _ pointer: UnsafeMutableRawPointer?, _ byteCount: UInt, flags: AllocationFlags = .kernel
    ) -> UnsafeMutableRawPointer? {
        let address = UInt(bitPattern: pointer)
        guard let slab = slabOfAllocated(address) else {
            return unsafe Self.reallocateSlow(self, pointer, byteCount, flags, nil)
        }
        // An object that the new size fits into, and nothing else to be done.
        let special: AllocationFlags = .dma | .dma32 | .zero
        guard _fastPath(byteCount &- 1 < slab.usableSize), _fastPath(flags.rawValue & special.rawValue == 0) else {
            return unsafe Self.reallocateSlow(self, pointer, byteCount, flags, slab)
        }
        return unsafe pointer
    }

    @inline(never)
    private static func reallocateSlow(
        _ kmalloc: borrowing Kmalloc<P>, _ pointer: UnsafeMutableRawPointer?, _ byteCount: UInt,
        _ flags: AllocationFlags, _ slab: SlabPage?
    ) -> UnsafeMutableRawPointer? {
        if byteCount == 0 {
            unsafe kmalloc.free(pointer)
            return unsafe UnsafeMutableRawPointer(bitPattern: zeroSizeAddress)
        }
        let address = UInt(bitPattern: pointer)
        let size = slab?.usableSize ?? 0
        guard let oldSize = size != 0 ? size : kmalloc.sizeUncommon(address, in: "krealloc") else { return nil }
        guard oldSize > 0, let pointer = unsafe pointer else {
            return unsafe kmalloc.allocate(byteCount, flags: flags)
        }
        let redZoned = size != 0 ? nil : kmalloc.redZonedCache(of: address)
        if byteCount <= oldSize, kmalloc.isInZone(address, flags) {
            if let cache = redZoned {
                cache.value.changeRequest(of: address, to: byteCount, clears: flags.contains(.zero))
                return unsafe pointer
            }
            if flags.contains(.zero) {
                // The allocation has oldSize bytes; what lies beyond the new size may be gained later.
                unsafe (pointer + Int(bitPattern: byteCount)).initializeMemory(
                    as: UInt8.self, repeating: 0, count: Int(bitPattern: oldSize &- byteCount))
            }
            return unsafe pointer
        }
        guard let new = unsafe kmalloc.allocate(byteCount, flags: flags) else { return nil }
        let contents = redZoned.map { $0.value.requestedSize(of: address) } ?? oldSize
        // Two allocations, each with at least so many bytes.
        unsafe new.copyMemory(from: pointer, byteCount: Int(bitPattern: min(contents, byteCount)))
        unsafe kmalloc.free(pointer)
        return unsafe new
    }

    /// Whether the memory lies where `flags` want it.
    private func isInZone(_ address: UInt, _ flags: AllocationFlags) -> Bool {
        let physical = directMap.physicalAddress(of: VirtualAddress(address)).rawValue
        if flags.contains(.dma) { return physical < 16 << 20 }
        return flags.contains(.dma32) ? physical < 4 << 30 : true
    }
}
