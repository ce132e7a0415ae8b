import MemoryPrimitives

/// The allocator until page frames have theirs: a list of the memory that there is and a list of what is taken of it.
///
/// What Linux calls memblock. For one CPU, with interrupts disabled or harmless: bring-up owns it alone. Allocations
/// are byte ranges, searched linearly: a few dozen of them are made before `PageFrameAllocator` takes over.
///
///     not memory --add--> free --allocate, reserve--> reserved --free--> free
///     any --remove--> not memory
///
/// What memblock does it does, but for these: reservations keep their owners and merge only with their like; an
/// allocation's lower limit holds unless it is said to be a wish; a size or an alignment of 0 gets nothing; and memory is
/// not cleared.
///
/// The two lists are independent: ranges may be reserved before they are added as memory, or without ever being so.
public struct BootAllocator: ~Copyable {
    /// From which end of memory an allocation is served.
    public enum Direction: UInt8, CaseIterable, Sendable {
        /// The highest addresses that will do.
        case topDown
        /// The lowest addresses that will do.
        case bottomUp
    }

    var memory: RangeList<RegionTag>
    var reserved: RangeList<RegionTag>
    var growth: RegionGrowth?

    /// From which end of memory allocations are served that do not say so themselves.
    public var direction = Direction.topDown

    /// The bytes of memory that could not be added because the list was full and could not grow.
    public private(set) var unrecordedMemory: UInt = 0

    /// True when a reservation or a removal could not be recorded. The allocator then hands out nothing any more, and
    /// knows of no free range: to use memory that somebody else owns is worse than to stop.
    public private(set) var hasLostReservation = false

    /// An allocator that knows no memory.
    /// - Parameters:
    ///   - memoryStorage: room for the list of memory.
    ///   - reservedStorage: room for the list of reservations. Both are the allocator's own for as long as it lives.
    @unsafe
    public init(
        memoryStorage: UnsafeMutableBufferPointer<Region>, reservedStorage: UnsafeMutableBufferPointer<Region>
    ) {
        unsafe memory = RangeList(storage: memoryStorage)
        unsafe reserved = RangeList(storage: reservedStorage)
    }

    // MARK: Memory

    /// Says that `range` is memory, near to `node`. Parts that are known already stay as they are.
    /// - Returns: false where there was no room to record it: the range stays unused and counts as `unrecordedMemory`.
    /// - Complexity: O(n).
    @discardableResult
    public mutating func add(_ range: PhysicalRange, node: MemoryNode = .zero) -> Bool {
        while !memory.add(range, RegionTag(owner: .none, node: node)) {
            guard growMemoryList(avoiding: range) else {
                unrecordedMemory &+= range.byteCount
                return false
            }
        }
        return true
    }

    /// Says that `range` is not memory after all. Its reservations stay.
    /// - Returns: false where that could not be recorded; see `hasLostReservation`.
    /// - Complexity: O(n).
    @discardableResult
    public mutating func remove(_ range: PhysicalRange) -> Bool {
        while !memory.remove(range) {
            guard growMemoryList(avoiding: range) else {
                hasLostReservation = true
                return false
            }
        }
        return true
    }

    // MARK: Reservations

    /// Takes `range` for `owner`. Parts that are reserved already stay with who has them.
    /// - Returns: false where that could not be recorded; see `hasLostReservation`.
    /// - Complexity: O(n).
    @discardableResult
    public mutating func reserve(_ range: PhysicalRange, owner: RegionOwner) -> Bool {
        if record(range, owner) { return true }
        hasLostReservation = true
        return false
    }

    /// Gives `range` back, whoever it was reserved for; parts that are not reserved stay so.
    /// - Returns: false where that would cut a reservation in two and there is no room to record the halves: the range
    ///   stays reserved.
    /// - Complexity: O(n).
    @discardableResult
    public mutating func free(_ range: PhysicalRange) -> Bool {
        while !reserved.remove(range) {
            guard growReservedList(avoiding: range) else { return false }
        }
        return true
    }

    /// Reserves `byteCount` bytes of free memory. They are not cleared, and lie on one node. The page at address 0 is
    /// never handed out.
    /// - Parameters:
    ///   - byteCount: bytes, more than 0. Not rounded up.
    ///   - alignment: bytes, a power of two.
    ///   - from: the lowest address of the allocation's first byte.
    ///   - below: the highest address of the allocation's end.
    ///   - node: the node to take it from; nil for any. Where nothing there fits, another node serves as well.
    ///   - options: how strictly `from` and `node` are meant.
    ///   - direction: whether the highest or the lowest place that fits is taken; nil for the allocator's `direction`.
    ///   - owner: who it is for.
    /// - Returns: the first byte's address; nil where nothing fits, or for a size of 0 or a bad alignment.
    /// - Complexity: O(n log n).
    // Out of line: what the search needs takes no room in the frames of those who bring the machine up.
    @inline(never)
    public mutating func allocate(
        byteCount: UInt, alignment: UInt, from: PhysicalAddress = .zero, below: PhysicalAddress = .limit,
        node: MemoryNode? = nil, options: PlacementOptions = .none, direction: Direction? = nil, owner: RegionOwner
    ) -> PhysicalAddress? {
        let request = PlacementRequest(
            byteCount: byteCount, alignment: alignment, from: from, below: below, node: node,
            direction: direction ?? self.direction)
        guard let range = findFree(request, options), record(range, owner) else { return nil }
        return range.start
    }

    /// Reserves `range`, growing the list where it is full.
    private mutating func record(_ range: PhysicalRange, _ owner: RegionOwner) -> Bool {
        while !reserved.add(range, RegionTag(owner: owner, node: nil)) {
            guard growReservedList(avoiding: range) else { return false }
        }
        return true
    }
}
