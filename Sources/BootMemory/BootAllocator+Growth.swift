import MemoryPrimitives

/// Where the region lists may grow to, and where they are now.
struct RegionGrowth {
    var directMap: DirectMap
    /// Arrays must end below: what the direct map covers so far.
    var limit: PhysicalAddress
    /// The list's array, where it came from the allocator itself; nil while it is the caller's.
    var memoryArray: PhysicalRange?
    var reservedArray: PhysicalRange?
}

/// Region lists that are full move to an array of twice the size, which the allocator takes from itself.
extension BootAllocator {
    /// Lets the region lists grow. Call it as soon as all that must not be overwritten is reserved: before that, an
    /// array could be put into memory that is in use but not yet known to be.
    /// - Parameters:
    ///   - directMap: how to reach the new arrays.
    ///   - limit: the end of what the direct map covers.
    public mutating func allowGrowth(through directMap: DirectMap, below limit: PhysicalAddress) {
        if growth == nil {
            growth = RegionGrowth(directMap: directMap, limit: limit)
        } else {
            growth?.directMap = directMap
            growth?.limit = limit
        }
    }

    /// Moves the list of memory to a larger array.
    /// - Parameter pending: the range that is about to be added or removed: the array must not lie within it.
    /// - Returns: false where there is no memory for one.
    mutating func growMemoryList(avoiding pending: PhysicalRange) -> Bool {
        guard let growth, let range = findArray(forCapacity: memory.capacity &* 2, avoiding: pending) else {
            return false
        }
        // Reserving may in turn move the other list, which then has to stay clear of both ranges: the array found here
        // is not reserved yet, so that the other list grows first and the search is made again.
        guard reserved.count &+ 2 <= reserved.capacity else {
            return growReservedList(avoiding: pending) && growMemoryList(avoiding: pending)
        }
        _ = reserved.add(range, RegionTag(owner: .regionLists, node: nil))
        // Free memory that was just reserved for the array, and the direct map covers it.
        unsafe _ = memory.move(to: Self.array(at: range, growth.directMap))
        if let old = growth.memoryArray { _ = reserved.remove(old) }
        self.growth?.memoryArray = range
        return true
    }

    /// Moves the list of reservations to a larger array, and reserves that array in it.
    /// - Parameter pending: the range that is about to be reserved or freed: the array must not lie within it.
    /// - Returns: false where there is no memory for one.
    mutating func growReservedList(avoiding pending: PhysicalRange) -> Bool {
        guard let growth, let range = findArray(forCapacity: reserved.capacity &* 2, avoiding: pending) else {
            return false
        }
        // Free memory that nobody else can be given before it is reserved, below, and the direct map covers it.
        unsafe _ = reserved.move(to: Self.array(at: range, growth.directMap))
        _ = reserved.add(range, RegionTag(owner: .regionLists, node: nil))
        if let old = growth.reservedArray { _ = reserved.remove(old) }
        self.growth?.reservedArray = range
        return true
    }

    private func findArray(forCapacity capacity: Int, avoiding pending: PhysicalRange) -> PhysicalRange? {
        guard let growth else { return nil }
        // At least 8, so that a list without any room of its own grows too and both insertions of a growth fit.
        let bytes = UInt(max(capacity, 8) &* MemoryLayout<Region>.stride)
        return findFree(
            PlacementRequest(
                byteCount: pageCount(forBytes: bytes) << PageSize.shift, alignment: PageSize.byteCount,
                below: growth.limit, direction: direction, avoiding: pending))
    }

    @unsafe
    private static func array(at range: PhysicalRange, _ directMap: DirectMap) -> UnsafeMutableBufferPointer<Region> {
        let capacity = Int(range.byteCount) / MemoryLayout<Region>.stride
        return unsafe UnsafeMutableBufferPointer(
            start: directMap.pointer(to: range.start).bindMemory(to: Region.self, capacity: capacity), count: capacity)
    }
}
