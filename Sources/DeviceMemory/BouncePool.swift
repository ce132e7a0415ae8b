import MemoryPrimitives
import PageFrames
import Slab

/// Memory that a device reaches, through which buffers are copied that it does not: Linux's swiotlb.
///
/// It is made of blocks of one size, each aligned to it, and cut into slots of 2 KiB; a buffer gets slots that follow each
/// other in one block. What of a buffer is in which slot is noted down beside them, so that a wrong end of a mapping is
/// told and not obeyed.
///
///     slot: free --map--> mapped --unmap--> ending (copied back, no lock held) --> free
///
/// Any context, several CPUs at once. The lock is held while slots are found, not while bytes are copied.
@safe
struct BouncePool<P: Platform>: ~Copyable, @unchecked Sendable {
    static var slotShift: UInt { 11 }
    static var slotByteCount: UInt { 1 << 11 }
    /// The largest buffer: 256 KiB.
    static var largestByteCount: UInt { SlotMap.largestRun << slotShift }

    /// What is in a slot.
    struct Note {
        /// The physical address of the buffer; of the first slot's note alone.
        var original: UInt = 0
        /// The buffer's bytes; 0 in a slot that is free, ending, or not the first of a buffer.
        var byteCount: UInt32 = 0
        var direction = DMADirection.bidirectional
    }

    private let lock = SpinLock<P>()
    private let directMap: DirectMap
    private let map: UnsafeMutablePointer<SlotMap>
    private let notes: UnsafeMutablePointer<Note>
    /// The first physical address of each block.
    private let blocks: UnsafeMutablePointer<UInt>
    /// For each part of the addresses that is as large as a block, the block that is there, counted from 1; 0 for none.
    private let blockNumbers: UnsafeMutablePointer<UInt16>
    private let blockNumberCount: UInt
    /// log2 of a block's bytes.
    private let blockShift: UInt

    // MARK: Making

    /// The largest and the smallest block: 4 MiB, and 256 KiB, which is one buffer.
    private static var blockOrders: (largest: Int, smallest: Int) { (10, 6) }

    /// A pool of `slotCount` slots, rounded up to whole blocks, below `end`, a power of two.
    /// - Parameter zone: where page frames are all below `end`.
    /// - Returns: nil, with everything as before, where there is no memory. - Complexity: O(slots). Any context.
    init?(
        slotCount: UInt, below end: UInt, zone: AllocationFlags, _ frames: Permanent<PageFrameAllocator<P>>,
        _ kmalloc: Permanent<Kmalloc<P>>
    ) {
        let slotCount = min(max(slotCount, SlotMap.largestRun), SlotMap.capacity)
        var order = Self.blockOrders.largest
        while order > Self.blockOrders.smallest, 1 << (UInt(order) &+ 1) > slotCount { order -= 1 }
        while order >= Self.blockOrders.smallest {
            let blockSlots: UInt = 1 << (UInt(order) &+ 1)
            let count = (slotCount &+ blockSlots &- 1) / blockSlots
            // The pool's own from here on.
            if let memory = unsafe Self.takeMemory(count, count * blockSlots, order, end, zone, frames, kmalloc) {
                unsafe self.init(memory, slotCount: count * blockSlots, order: order, end: end, frames.value.directMap)
                return
            }
            order -= 1
        }
        return nil
    }

    /// What a pool lies in; `blocks` are filled in.
    @unsafe
    private struct Memory {
        let notes: UnsafeMutableRawPointer
        let map: UnsafeMutableRawPointer
        let blocks: UnsafeMutablePointer<UInt>
        let numbers: UnsafeMutableRawPointer
        let blockCount: UInt
    }

    private static func mapByteCount(_ slotCount: UInt) -> UInt {
        UInt(MemoryLayout<SlotMap>.stride) + SlotMap.byteCount(slotCount: slotCount)
    }

    private static func takeMemory(
        _ blockCount: UInt, _ slotCount: UInt, _ order: Int, _ end: UInt, _ zone: AllocationFlags,
        _ frames: Permanent<PageFrameAllocator<P>>, _ kmalloc: Permanent<Kmalloc<P>>
    ) -> Memory? {
        let flags = .atomic | .noWarn | .zero | .noLeakTrace as AllocationFlags
        let heap = kmalloc
        // Given back below where one of them is lacking; nobody has seen them.
        let notes = unsafe heap.value.allocate(slotCount * UInt(MemoryLayout<Note>.stride), flags: flags)
        let map = unsafe heap.value.allocate(mapByteCount(slotCount), flags: flags)
        let blocks = unsafe heap.value.allocate(blockCount * 8, flags: flags)
        let numbers = unsafe heap.value.allocate(2 * (end >> (UInt(order) &+ PageSize.shift)), flags: flags)
        if let notes = unsafe notes, let map = unsafe map, let blocks = unsafe blocks, let numbers = unsafe numbers {
            let starts = unsafe blocks.bindMemory(to: UInt.self, capacity: Int(blockCount))
            if unsafe takeBlocks(starts, blockCount, order, zone, frames) {
                return unsafe Memory(notes: notes, map: map, blocks: starts, numbers: numbers, blockCount: blockCount)
            }
        }
        unsafe heap.value.free(notes)
        unsafe heap.value.free(map)
        unsafe heap.value.free(blocks)
        unsafe heap.value.free(numbers)
        return nil
    }

    /// Takes all blocks or none.
    private static func takeBlocks(
        _ starts: UnsafeMutablePointer<UInt>, _ count: UInt, _ order: Int, _ zone: AllocationFlags,
        _ frames: Permanent<PageFrameAllocator<P>>
    ) -> Bool {
        let flags = (.kernel | .noWarn | .noRetry | .noLeakTrace | zone).subtracting(.directReclaim)
        for index in 0..<Int(count) {
            guard let frame = frames.value.allocate(order: order, flags: flags) else {
                // Those before it, from the front on.
                for taken in 0..<index {
                    frames.value.free(PageFrameNumber(unsafe starts[taken] >> PageSize.shift), order: order)
                }
                return false
            }
            // One of the count that there is room for.
            unsafe starts[index] = frame.address.rawValue
        }
        return true
    }

    private init(_ memory: Memory, slotCount: UInt, order: Int, end: UInt, _ directMap: DirectMap) {
        self.directMap = directMap
        blockShift = UInt(order) &+ PageSize.shift
        blockNumberCount = end >> blockShift
        // Each part has room for what is put there, and is the pool's for good.
        unsafe map = memory.map.bindMemory(to: SlotMap.self, capacity: 1)
        unsafe map.initialize(
            to: SlotMap(slotCount: slotCount, in: memory.map + MemoryLayout<SlotMap>.stride))
        unsafe notes = memory.notes.bindMemory(to: Note.self, capacity: Int(slotCount))
        unsafe notes.initialize(repeating: Note(), count: Int(slotCount))
        unsafe blocks = memory.blocks
        unsafe blockNumbers = memory.numbers.bindMemory(to: UInt16.self, capacity: Int(blockNumberCount))
        let blockCount = unsafe Int(memory.blockCount)
        for number in 0..<blockCount {
            // Below the end by the zone that it was taken from.
            unsafe blockNumbers[Int(blocks[number] >> blockShift)] = UInt16(number + 1)
        }
    }

    /// Gives a pool back that nobody has used.
    consuming func giveBack(_ frames: Permanent<PageFrameAllocator<P>>, _ kmalloc: Permanent<Kmalloc<P>>) {
        let order = Int(blockShift &- PageSize.shift)
        let count = slotCount &>> (blockShift &- Self.slotShift)
        // All of it is the pool's own.
        for index in 0..<Int(count) {
            frames.value.free(PageFrameNumber(unsafe blocks[index] >> PageSize.shift), order: order)
        }
        unsafe kmalloc.value.free(UnsafeMutableRawPointer(notes))
        unsafe kmalloc.value.free(UnsafeMutableRawPointer(map))
        unsafe kmalloc.value.free(UnsafeMutableRawPointer(blocks))
        unsafe kmalloc.value.free(UnsafeMutableRawPointer(blockNumbers))
    }

    // MARK: Figures

    /// Changes never.
    var slotCount: UInt { unsafe map.pointee.slotCount }

    var usedSlots: UInt {
        // The lock makes this the only access.
        lock.withLock { unsafe map.pointee.slotCount &- map.pointee.freeCount }
    }

    func checkInvariants() throws(InvariantViolation) {
        // As above.
        try lock.withLock { () throws(InvariantViolation) in try unsafe map.pointee.checkInvariants() }
    }

    // MARK: Addresses

    /// The slot that an address lies in; nil for one outside of the pool. - Complexity: O(1).
    @inline(__always)
    func slot(of address: BusAddress) -> UInt? {
        let part = address.rawValue &>> blockShift
        if part >= blockNumberCount { return nil }
        // Within the table by the check above; written before anybody has the pool.
        let number = unsafe blockNumbers[Int(bitPattern: part)]
        if number == 0 { return nil }
        let offset = address.rawValue & (1 &<< blockShift &- 1)
        return (UInt(number) &- 1) &<< (blockShift &- Self.slotShift) &+ offset &>> Self.slotShift
    }

    private func address(ofSlot slot: UInt) -> UInt {
        let perBlock = blockShift &- Self.slotShift
        // A slot of the pool lies in one of its blocks.
        return unsafe blocks[Int(bitPattern: slot &>> perBlock)]
            &+ (slot & (1 &<< perBlock &- 1)) &<< Self.slotShift
    }

    // MARK: Mapping

    /// Gives a buffer slots, and copies it there: whatever the direction, since a device that writes less than all of it
    /// must not leave what somebody else had there.
    /// - Parameter byteCount: 1 to `largestByteCount`.
    /// - Returns: nil where there are not so many slots in a row. - Complexity: O(bytes).
    func map(_ original: PhysicalAddress, _ byteCount: UInt, _ direction: DMADirection) -> BusAddress? {
        let count = Self.slotCount(of: byteCount)
        // The lock makes this the only access.
        guard let slot = lock.withLock({ unsafe map.pointee.take(count) }) else { return nil }
        // The slots are the caller's.
        unsafe notes[Int(bitPattern: slot)] = Note(
            original: original.rawValue, byteCount: UInt32(truncatingIfNeeded: byteCount), direction: direction)
        let bus = address(ofSlot: slot)
        copy(from: original.rawValue, to: bus, byteCount)
        return BusAddress(bus)
    }

    /// Ends a mapping: the buffer gets what the device wrote, and the slots are free.
    /// - Parameter isCopied: false where the device never had it.
    /// - Returns: what is wrong, and nothing has changed then; nil where nothing is. - Complexity: O(bytes).
    func unmap(
        _ bus: BusAddress, slot: UInt, _ byteCount: UInt, _ direction: DMADirection, isCopied: Bool = true
    ) -> StaticString? {
        var original: UInt = 0
        let wrong = lock.withLock { () -> StaticString? in
            // A slot of the pool, by `slot(of:)`; the lock keeps a second caller out.
            let note = unsafe notes[Int(bitPattern: slot)]
            if note.byteCount == 0 || bus.rawValue != address(ofSlot: slot) {
                return "no mapping begins there, or it has ended"
            }
            if UInt(note.byteCount) != byteCount { return "it was mapped with another size" }
            if note.direction != direction { return "it was mapped in another direction" }
            original = note.original
            unsafe notes[Int(bitPattern: slot)].byteCount = 0
            return nil
        }
        if let wrong { return wrong }
        if isCopied && direction.isForCPU { copy(from: bus.rawValue, to: original, byteCount) }
        // As in `map`.
        lock.withLock { unsafe map.pointee.give(slot, Self.slotCount(of: byteCount)) }
        return nil
    }

    /// Copies a part of a mapping, one way or the other. The mapping is the caller's.
    /// - Parameter head: where the mapping begins: see `start(of:)`.
    /// - Returns: as `unmap`.
    func sync(
        _ bus: BusAddress, _ byteCount: UInt, _ direction: DMADirection, forCPU: Bool
    ) -> StaticString? {
        guard let (start, note) = mapping(around: bus) else { return "no mapping is there, or it has ended" }
        let offset = bus.rawValue &- start
        if byteCount > UInt(note.byteCount) &- offset { return "the mapping ends before" }
        if note.direction != direction { return "it was mapped in another direction" }
        if forCPU {
            if direction.isForCPU { copy(from: bus.rawValue, to: note.original &+ offset, byteCount) }
        } else if direction.isForDevice {
            copy(from: note.original &+ offset, to: bus.rawValue, byteCount)
        }
        return nil
    }

    /// The mapping that an address lies in. - Complexity: O(1), 128 steps back at most.
    private func mapping(around bus: BusAddress) -> (start: UInt, note: Note)? {
        guard var slot = slot(of: bus) else { return nil }
        let lowest = slot &- min(slot, SlotMap.largestRun &- 1)
        return lock.withLock { () -> (start: UInt, note: Note)? in
            while true {
                // Slots of the pool; the lock keeps them as they are.
                let note = unsafe notes[Int(bitPattern: slot)]
                if note.byteCount > 0 {
                    let start = address(ofSlot: slot)
                    return bus.rawValue &- start < UInt(note.byteCount) ? (start, note) : nil
                }
                if slot == lowest { return nil }
                slot &-= 1
            }
        }
    }

    @inline(__always)
    private static func slotCount(of byteCount: UInt) -> UInt {
        (byteCount &+ (slotByteCount &- 1)) &>> slotShift
    }

    private func copy(from source: UInt, to target: UInt, _ byteCount: UInt) {
        // The buffer is RAM in one piece, and the slots are; they do not overlap, since nobody else has the slots.
        unsafe directMap.pointer(to: PhysicalAddress(target)).copyMemory(
            from: directMap.pointer(to: PhysicalAddress(source)), byteCount: Int(bitPattern: byteCount))
    }
}
