import MemoryPrimitives

// A walk step by step, for who cannot do its work in one call of `forEachMemoryRange`.
extension BootAllocator {
    /// The first range of memory, reserved or not, that ends beyond `address`; nil where there is none.
    /// - Complexity: O(log n).
    public func nextMemoryRange(from address: PhysicalAddress) -> PhysicalRange? {
        let index = memory.firstIndex(endingAfter: address)
        return index < memory.count ? memory[index].range : nil
    }

    /// The first reservation that ends beyond `address`, and its owner; nil where there is none.
    /// - Complexity: O(log n).
    public func nextReservation(from address: PhysicalAddress) -> (range: PhysicalRange, owner: RegionOwner)? {
        let index = reserved.firstIndex(endingAfter: address)
        return index < reserved.count ? (reserved[index].range, reserved[index].owner) : nil
    }
}
