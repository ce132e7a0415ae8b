import MemoryPrimitives
import PageFrames
import Slab
import Synchronization

/// Gives memory to devices and takes it back: the DMA calls, by the rules that Linux documents in `DMA-API.rst`.
///
///     CPU's --map--> device's --unmap--> CPU's
///                    device's --syncForCPU--> CPU's --syncForDevice--> device's
///
/// A device puts physical addresses on the bus, and x86 keeps its caches coherent with it. So a buffer that the device
/// reaches is given as it is, for the price of a comparison; one that it does not reach is copied through a pool that it
/// does (see `BouncePool`). Whether each mapping is noted down, too, is chosen once: see `MappingTable`.
///
/// **When is the pool taken?** When a driver says what its device reaches (`makeDevice`, `setMask`) and there is memory
/// beyond that. Machines without such devices pay nothing; and the driver that would need it is told at once, in a place
/// where it can give up, not in the middle of a transfer.
///
/// Any context, several CPUs at once. Lock order: the pool's lock and the notes' stand alone; only the notes' takes the
/// locks of slab and zones below it.
@safe
public struct DMAMapper<P: Platform>: ~Copyable, @unchecked Sendable {
    let frames: Permanent<PageFrameAllocator<P>>
    let kmalloc: Permanent<Kmalloc<P>>
    /// What was chosen at boot.
    public let options: DMAOptions
    /// Notes of mappings; nil where there are none.
    let notes: Permanent<MappingTable<P>>?
    private let deviceCount = Atomic<UInt>(0)
    /// The pools, as addresses of `BouncePool`s: for 24 bits and for 32. 0 until they are made.
    private let lowPool = Atomic<UInt>(0)
    private let pool = Atomic<UInt>(0)

    /// Serves devices from these page frames and this kmalloc.
    /// - Returns: nil where there is no memory for the notes that `options` ask for.
    public init?(
        frames: Permanent<PageFrameAllocator<P>>, kmalloc: Permanent<Kmalloc<P>>, options: DMAOptions = DMAOptions()
    ) {
        self.frames = frames
        self.kmalloc = kmalloc
        self.options = options
        if options.isDebugging {
            guard let table = MappingTable<P>.make(in: kmalloc) else { return nil }
            notes = table
        } else {
            notes = nil
        }
    }

    // MARK: Devices

    /// A device that reaches the addresses of `mask`, until `setMask` and `setCoherentMask` say otherwise.
    /// - Parameters:
    ///   - name: what reports call it.
    ///   - mask: both of its masks. Without one it drives 32 address lines, as a device does that says nothing; who knows
    ///     better says so here, and no pool is taken for it in vain.
    /// - Throws: what `setMask` does.
    /// - Complexity: O(1), but for the pool's first user. Any context.
    public func makeDevice(_ name: StaticString, mask: DMAMask = .bits32) throws(DMAError) -> DMADevice<P> {
        var device = DMADevice<P>(
            name: name, number: deviceCount.add(1, ordering: .relaxed).newValue, mask: mask, coherentMask: mask,
            quickLimit: 0, path: .direct, pool: nil)
        try setMask(mask, of: &device)
        return device
    }

    /// Says which addresses the device reaches when buffers are mapped. To be called before the first is.
    /// - Throws: `maskTooSmall` for less than 24 bits, unless all memory is reached; `noPool` where copies would be needed
    ///   and there is no memory for them. The device's mask is as before then.
    public func setMask(_ mask: DMAMask, of device: inout DMADevice<P>) throws(DMAError) {
        let end = frames.value.endOfMemory.rawValue
        let reachesAll = mask.reaches(end &- 1)
        if !reachesAll && mask.last < DMAMask.bits24.last { throw .maskTooSmall }
        var pool: Permanent<BouncePool<P>>?
        if options.bouncing == .always || options.bouncing == .whereNeeded && !reachesAll {
            guard let found = self.pool(for: mask) else { throw .noPool }
            pool = found
        }
        device.mask = mask
        device.pool = pool
        device.path = notes != nil ? .debugged : pool != nil ? .bounced : .direct
        let isQuick = notes == nil && options.bouncing != .always
        device.quickLimit = isQuick ? min(mask.last, end &- 1) : 0
    }

    /// Says which addresses the device reaches in memory that is made for it. - Throws: `maskTooSmall`.
    public func setCoherentMask(_ mask: DMAMask, of device: inout DMADevice<P>) throws(DMAError) {
        let end = frames.value.endOfMemory.rawValue
        if !mask.reaches(end &- 1) && mask.last < DMAMask.bits24.last { throw .maskTooSmall }
        device.coherentMask = mask
    }

    // MARK: Pools

    /// The pool that a device with this mask reaches all of; made at the first call.
    private func pool(for mask: DMAMask) -> Permanent<BouncePool<P>>? {
        if mask.last >= DMAMask.bits32.last {
            return pool(pool, slotCount: options.slotCount, below: 1 << 32, .dma32)
        }
        return pool(lowPool, slotCount: min(options.slotCount, 512), below: 1 << 24, .dma)
    }

    private func pool(
        _ place: borrowing Atomic<UInt>, slotCount: UInt, below end: UInt, _ zone: AllocationFlags
    ) -> Permanent<BouncePool<P>>? {
        if let known = Self.pool(at: place) { return known }
        let size = UInt(MemoryLayout<BouncePool<P>>.stride)
        guard let memory = unsafe kmalloc.value.allocate(size, flags: .atomic | .noWarn | .noLeakTrace) else {
            return nil
        }
        guard let made = BouncePool<P>(slotCount: slotCount, below: end, zone: zone, frames, kmalloc) else {
            // Allocated above and given to nobody.
            unsafe kmalloc.value.free(memory)
            return nil
        }
        let pointer = unsafe memory.bindMemory(to: BouncePool<P>.self, capacity: 1)
        // Of that size, and the pool's for good where this CPU is the first.
        unsafe pointer.initialize(to: made)
        let address = UInt(bitPattern: memory)
        let isFirst = place.compareExchange(
            expected: 0, desired: address, successOrdering: .acquiringAndReleasing, failureOrdering: .acquiring
        ).exchanged
        if !isFirst {
            // Nobody has seen it.
            unsafe pointer.move().giveBack(frames, kmalloc)
            unsafe kmalloc.value.free(memory)
        }
        return Self.pool(at: place)
    }

    private static func pool(at place: borrowing Atomic<UInt>) -> Permanent<BouncePool<P>>? {
        // Stored when the pool was there, which stays.
        guard let pointer = unsafe UnsafeMutablePointer<BouncePool<P>>(bitPattern: place.load(ordering: .acquiring))
        else { return nil }
        return unsafe Permanent(to: pointer)
    }

    /// What the pools add up to; see `DMAStatistics`. - Complexity: O(1).
    public var statistics: DMAStatistics {
        var result = DMAStatistics()
        add(lowPool, to: &result)
        add(pool, to: &result)
        return result
    }

    private func add(_ place: borrowing Atomic<UInt>, to sum: inout DMAStatistics) {
        guard let pool = Self.pool(at: place) else { return }
        sum.slots &+= pool.value.slotCount
        sum.usedSlots &+= pool.value.usedSlots
    }

    /// Checks the pools' slots. - Throws: the first thing that is wrong. - Complexity: O(slots). For tests.
    public func checkInvariants() throws(InvariantViolation) {
        try Self.pool(at: lowPool)?.value.checkInvariants()
        try Self.pool(at: pool)?.value.checkInvariants()
    }
}

/// What the pools add up to at one moment.
public struct DMAStatistics: Equatable, Sendable {
    /// Slots of 2 KiB in all pools.
    public internal(set) var slots: UInt = 0
    /// Those of them that are in use.
    public internal(set) var usedSlots: UInt = 0

    init() {}
}
