import MemoryPrimitives

/// The sizes of a frame cache, and how its rings are found.
enum FrameCacheLayout {
    /// Blocks up to this order are cached.
    @inline(__always) static var highestOrder: Int { 3 }
    @inline(__always) static var orderCount: Int { 4 }

    /// The mobilities whose page blocks' frames are cached: unmovable, movable, reclaimable.
    @inline(__always) static var mobilityCount: Int { 3 }

    /// The bytes of one ring; a frame cache begins with them.
    @inline(__always) static var ringByteCount: Int { 128 }

    /// The rings of page blocks whose frames are not cached: behind those of all zones, and always empty and full.
    @inline(__always) static var noRings: Int { ZoneKind.count * ringsPerZone * ringByteCount }

    @inline(__always) static var ringsPerZone: Int { mobilityCount * orderCount }

    /// A ring's place in a frame cache's array.
    @inline(__always)
    static func ring(zone: Int, _ mobility: Mobility, order: Int) -> Int {
        zone &* ringsPerZone &+ Int(mobility.rawValue) &* orderCount &+ order
    }

    /// The place in a frame cache's array of the ring at `offset` bytes.
    @inline(__always)
    static func ring(at offset: Int) -> Int { offset / ringByteCount }

    /// The frames in a zone's rings when each holds one block.
    static var framesPerRingDepth: Int { mobilityCount * (1 << orderCount - 1) }

    /// The high mark of the rings of a zone that is not small: as many as the cost of refilling and draining needs, and
    /// no more, because what lies in the rings breaks up larger blocks. Chosen by measuring both (docs/page-frames.md).
    static func usualHigh(order: Int) -> UInt32 {
        switch order {
        case 0: 24
        case 1: 12
        case 2: 8
        default: 6
        }
    }

    /// Where in a frame cache the rings for a zone's frames in page blocks of `mobility` lie, one for each order.
    @inline(__always)
    static func rings(zone: Int, _ mobility: Mobility) -> Int {
        if Int(mobility.rawValue) >= mobilityCount { return noRings }
        return ring(zone: zone, mobility, order: 0) &* ringByteCount
    }
}

/// A stack of free blocks of one order, in two cache lines. The one freed last is handed out first.
struct FrameRing {
    /// The most blocks that any ring can hold.
    @inline(__always) static var capacity: Int { 28 }

    /// The blocks in the ring, of which `frames` has the first that many, the coldest first.
    var count: UInt32 = 0

    /// The most blocks that this ring may hold now; 0 where caching is off.
    var high: UInt32 = 0

    /// The first frame beyond the page blocks that the last refill came from.
    ///
    /// A block that lies there or above goes straight back to the buddy instead of into the ring: memory beyond what is
    /// in use at the low end is given the chance to become whole again. This keeps large blocks together as well as
    /// having no caches does.
    var limit: UInt32 = 0

    /// How many blocks a refill fetches and an overflow gives back; at least 1 where caching is on.
    var batch: UInt32 = 0

    var frames = InlineArray<28, UInt32>(repeating: 0)

    /// Whether a block may go into the ring as it is.
    @inline(__always)
    func hasRoom(for frame: UInt32) -> Bool { count < high && frame < limit }

    @inline(__always)
    mutating func push(_ frame: UInt32) {
        // Callers make sure that there is room: `high` is at most the capacity.
        unsafe frames[unchecked: Int(count)] = frame
        count &+= 1
    }

    /// Notes down where a refill came from: `frame` is the highest of its blocks.
    @inline(__always)
    mutating func setLimit(from frame: UInt32) { limit = (frame | (PageBlock.frameCount &- 1)) &+ 1 }

    /// The block that was pushed last; there must be one.
    @inline(__always)
    mutating func pop() -> UInt32 {
        count &-= 1
        // Below the old count, which is at most the capacity.
        return unsafe frames[unchecked: Int(count)]
    }

    /// Puts a block below all others: it is handed out last, and given back first.
    mutating func pushCold(_ frame: UInt32) {
        var index = Int(count)
        while index > 0 {
            frames[index] = frames[index - 1]
            index -= 1
        }
        frames[0] = frame
        count += 1
    }

    /// Takes the `number` coldest blocks off, of which there must be as many, and calls `body` with each.
    @inline(__always)
    mutating func removeColdest(_ number: Int, _ body: (UInt32) -> Void) {
        var index = 0
        // Below the count, which is at most the capacity.
        while index < number {
            unsafe body(frames[unchecked: index])
            index &+= 1
        }
        let end = Int(count)
        while index < end {
            unsafe frames[unchecked: index &- number] = frames[unchecked: index]
            index &+= 1
        }
        count &-= UInt32(truncatingIfNeeded: number)
    }
}

/// One CPU's free blocks of orders 0 to 3, in front of the zones: most calls end here.
///
///     allocate --pop-->  ring  <--push-- free
///                 empty   |  |   full, or beyond the ring's limit
///                         v  v
///         refill: a batch    drain: the coldest batch, or the block itself
///                         zone
///
/// The lock is nearly always this CPU's own and free; it is there so that any CPU can drain the caches of all. Lock
/// order: frame cache, zone. Zero bytes are a cache that is turned off.
struct FrameCache<P: Platform>: ~Copyable {
    /// Ahead of the lock: a change of the whole is known to ThreadSanitizer by its address, and while one CPU makes it
    /// others may look at the lock.
    var rings = InlineArray<40, FrameRing>(repeating: FrameRing())

    let lock = SpinLock<P>()

    /// Frames in all rings of a zone.
    /// `mutating` passes the rings by address; nothing changes.
    mutating func frames(inZone zone: Int) -> UInt {
        var frames: UInt = 0
        let first = zone * FrameCacheLayout.mobilityCount * FrameCacheLayout.orderCount
        for ring in 0..<FrameCacheLayout.mobilityCount * FrameCacheLayout.orderCount {
            frames += UInt(rings[first + ring].count) << UInt(ring % FrameCacheLayout.orderCount)
        }
        return frames
    }
}

extension UnsafeMutablePointer where Pointee: ~Copyable {
    /// The ring at `offset` bytes in a frame cache, for the two calls that cannot afford to count rings.
    @inline(__always)
    func ring(at offset: Int) -> UnsafeMutablePointer<FrameRing> {
        // Offsets are made by FrameCacheLayout, for rings that are there.
        unsafe (UnsafeMutableRawPointer(self) + offset).assumingMemoryBound(to: FrameRing.self)
    }
}
