import MemoryPrimitives

extension BootAllocator {
    /// The number of ranges in the list of memory.
    public var memoryRangeCount: Int { memory.count }

    /// The number of ranges in the list of reservations.
    public var reservedRangeCount: Int { reserved.count }

    /// The bytes of all memory, reserved or not.
    public var totalMemory: UInt { memory.totalByteCount }

    /// The bytes of all reservations, whether or not they are memory.
    public var totalReserved: UInt { reserved.totalByteCount }

    /// The bytes that are reserved for `owner`.
    /// - Complexity: O(n).
    public func totalReserved(by owner: RegionOwner) -> UInt {
        var sum: UInt = 0
        for index in 0..<reserved.count where reserved[index].owner == owner {
            sum &+= reserved[index].range.byteCount
        }
        return sum
    }

    /// The bytes of memory that is not reserved.
    /// - Complexity: O(n log n).
    public var totalFree: UInt {
        var sum: UInt = 0
        forEachFreeRange { sum &+= $0.byteCount }
        return sum
    }

    /// The lowest address of memory; zero where there is none.
    public var lowestAddress: PhysicalAddress { memory.count == 0 ? .zero : memory[0].range.start }

    /// The end of the highest range of memory; zero where there is none.
    public var highestAddress: PhysicalAddress { memory.count == 0 ? .zero : memory[memory.count &- 1].range.end }

    /// Who owns the byte at `address`; nil where it is not reserved.
    /// - Complexity: O(log n).
    public func owner(of address: PhysicalAddress) -> RegionOwner? { reserved.element(containing: address)?.owner }

    /// The node that the byte at `address` is near to; nil where it is not memory.
    /// - Complexity: O(log n).
    public func node(of address: PhysicalAddress) -> MemoryNode? { memory.element(containing: address)?.node }

    /// True when the byte at `address` is memory.
    /// - Complexity: O(log n).
    public func isMemory(_ address: PhysicalAddress) -> Bool { memory.element(containing: address) != nil }

    /// True when all of `range` is memory.
    public func isMemory(_ range: PhysicalRange) -> Bool { memory.covers(range) }

    /// True when some of `range` is memory.
    /// - Complexity: O(log n).
    public func overlapsMemory(_ range: PhysicalRange) -> Bool { memory.overlaps(range) }

    /// True when some of `range` is reserved.
    /// - Complexity: O(log n).
    public func overlapsReserved(_ range: PhysicalRange) -> Bool { reserved.overlaps(range) }

    /// Calls `body` with each range of memory that is not reserved, ascending.
    /// - Complexity: O(n log n).
    public func forEachFreeRange(_ body: (PhysicalRange) -> Void) {
        var cursor = PhysicalAddress.zero
        while let range = nextFreeRange(from: cursor) {
            body(range)
            cursor = range.end
        }
    }

    /// Calls `body` with each range of memory, ascending.
    public func forEachMemoryRange(_ body: (PhysicalRange) -> Void) {
        for index in 0..<memory.count { body(memory[index].range) }
    }

    /// Calls `body` with each reservation and its owner, ascending.
    public func forEachReserved(_ body: (PhysicalRange, RegionOwner) -> Void) {
        for index in 0..<reserved.count { body(reserved[index].range, reserved[index].owner) }
    }

    /// Trims each range of memory to multiples of `alignment`; those too small for one vanish.
    /// - Parameter alignment: bytes, a power of two.
    /// - Complexity: O(n^2).
    public mutating func trim(to alignment: UInt) {
        var index = 0
        while index < memory.count {
            let range = memory[index].range
            if let whole = range.wholePages(of: alignment) {
                // Cutting off an end never needs room.
                remove(PhysicalRange(range.start, whole.start))
                remove(PhysicalRange(whole.end, range.end))
                index &+= 1
            } else {
                remove(range)
            }
        }
    }
}
