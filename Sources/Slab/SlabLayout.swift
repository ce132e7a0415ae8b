import MemoryPrimitives

/// How a cache's slabs are cut: the block's order, and the slots in it, one for each object.
///
///     | slot 0 | slot 1 | ... | slot n-1 | unused |
///
/// Slot i lies at `i * slotSize` and the block is aligned to its own size, so that slots of a power of two are aligned to
/// theirs. In a slot the object begins at `objectOffset`: 0, but where a red zone stands before it.
struct SlabLayout {
    /// What the cache's users have of an object, in bytes.
    let objectSize: UInt
    /// Bytes from one object to the next.
    let slotSize: UInt
    let objectOffset: UInt
    /// log2 of the block's size in frames.
    let order: Int
    /// Objects in a slab.
    let objectCount: Int
    let indexing: ObjectIndexing

    /// A slab can still be had from fragmented memory.
    static var highestOrder: Int { 3 }
    /// The largest slot: a block of the highest order.
    static var largestSlotSize: UInt { PageSize.byteCount << UInt(highestOrder) }
    /// The most objects of a slab: its header is no larger than `HeaderPool` gives.
    static var largestObjectCount: Int { 512 }

    /// - Parameter slotSize: bytes, a multiple of 8, up to 32 KiB.
    init(objectSize: UInt, slotSize: UInt, objectOffset: UInt = 0) {
        self.objectSize = objectSize
        self.slotSize = slotSize
        self.objectOffset = objectOffset
        order = Self.order(slotSize: slotSize)
        objectCount = Self.objectCount(slotSize, order: order)
        indexing = ObjectIndexing(objectSize: UInt32(truncatingIfNeeded: slotSize))
    }

    /// The lowest order that loses little: a higher one is taken where it saves 2 % more of the memory, header included.
    /// Large objects come at least eight to a slab, if that is possible, so that a slab is not made for a handful.
    private static func order(slotSize: UInt) -> Int {
        var best = highestOrder
        var leastLost = UInt.max
        for order in 0...highestOrder {
            let count = objectCount(slotSize, order: order)
            if count < 8, order < highestOrder { continue }
            let byteCount = PageSize.byteCount << UInt(order)
            let header = UInt(bitPattern: SlabHeader.byteCount(objectCount: count))
            let lost = (byteCount - UInt(count) * slotSize + header) * 1024 / byteCount
            if leastLost == .max || lost + 20 < leastLost {
                best = order
                leastLost = lost
            }
        }
        return best
    }

    private static func objectCount(_ slotSize: UInt, order: Int) -> Int {
        min(largestObjectCount, Int((PageSize.byteCount << UInt(order)) / slotSize))
    }

    /// The slab's frames.
    var frameCount: UInt { 1 << UInt(order) }

    /// Bytes of a slab's header.
    var headerByteCount: Int { SlabHeader.byteCount(objectCount: objectCount) }
}
