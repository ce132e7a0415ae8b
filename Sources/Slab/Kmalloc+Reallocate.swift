import MemoryPrimitives
import PageFrames

extension Kmalloc {
    /// The bytes that an allocation really has, at least what was asked for.
    ///
    /// - Parameter pointer: what `allocate` returned. nil and `zeroSizeAddress` have 0 bytes.
    /// Who asks may use all of it: where what was not asked for is a red zone, that ends here.
    /// - Returns: 0 for anything else, too, after reporting it as `free` would.
    /// - Complexity: O(1).
    public func size(of pointer: UnsafeRawPointer?) -> UInt {
        let address = UInt(bitPattern: pointer)
        guard let found = find(address, in: "ksize") else { return 0 }
        if let cache = found.redZoned { cache.value.changeRequest(of: address, to: found.size) }
        return found.size
    }

    private struct Found {
        var size: UInt
        /// The object's cache, where what was not asked for is a red zone.
        var redZoned: Permanent<SlabCache<P>>?
    }

    /// nil, after a report, for what is not allocated.
    @inline(__always)
    private func find(_ address: UInt, in call: StaticString) -> Found? {
        if address == 0 || address == Self.zeroSizeAddress { return Found(size: 0) }
        if let slab = slab(of: address) {
            if let index = slab.index(of: address), slab.state(index) == .allocated {
                let cache = CacheList<P>.cache(at: slab.cacheAddress)
                return Found(
                    size: cache.value.objectSize, redZoned: cache.value.flags.contains(.redZone) ? cache : nil)
            }
        } else if address & (PageSize.byteCount &- 1) == 0,
            let order = LargeBlocks<P>.order(of: frame(of: address), frames)
        {
            return Found(size: PageSize.byteCount << UInt(order))
        }
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
    public func reallocate(
        _ pointer: UnsafeMutableRawPointer?, _ byteCount: UInt, flags: AllocationFlags = .kernel
    ) -> UnsafeMutableRawPointer? {
        if byteCount == 0 {
            unsafe free(pointer)
            return unsafe UnsafeMutableRawPointer(bitPattern: Self.zeroSizeAddress)
        }
        guard let found = find(UInt(bitPattern: pointer), in: "krealloc") else { return nil }
        let oldSize = found.size
        guard oldSize > 0, let pointer = unsafe pointer else { return unsafe allocate(byteCount, flags: flags) }
        if byteCount <= oldSize, isInZone(UInt(bitPattern: pointer), flags) {
            if let cache = found.redZoned {
                cache.value.changeRequest(
                    of: UInt(bitPattern: pointer), to: byteCount, clears: flags.contains(.zero))
                return unsafe pointer
            }
            if flags.contains(.zero) {
                // The allocation has oldSize bytes; what lies beyond the new size may be gained later.
                unsafe (pointer + Int(bitPattern: byteCount)).initializeMemory(
                    as: UInt8.self, repeating: 0, count: Int(bitPattern: oldSize &- byteCount))
            }
            return unsafe pointer
        }
        guard let new = unsafe allocate(byteCount, flags: flags) else { return nil }
        let contents = found.redZoned.map { $0.value.requestedSize(of: UInt(bitPattern: pointer)) } ?? oldSize
        // Two allocations, each with at least so many bytes.
        unsafe new.copyMemory(from: pointer, byteCount: Int(bitPattern: min(contents, byteCount)))
        unsafe free(pointer)
        return unsafe new
    }

    /// Whether the memory lies where `flags` want it.
    private func isInZone(_ address: UInt, _ flags: AllocationFlags) -> Bool {
        let physical = directMap.physicalAddress(of: VirtualAddress(address)).rawValue
        if flags.contains(.dma) { return physical < 16 << 20 }
        return flags.contains(.dma32) ? physical < 4 << 30 : true
    }
}
