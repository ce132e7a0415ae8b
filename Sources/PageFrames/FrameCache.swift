import MemoryPrimitives

/// The sizes of a frame cache, and how its rings are found.
enum FrameCacheLayout {
    /// Blocks up to this order are cached.
    @inline(__always) static var highestOrder: Int { 3 }
    @inline(__always) static var orderCount: Int { 4 }

    /// The mobilities whose page blocks' frames are cached: unmovable, movable, reclaimable.
    @inline(__always) static var mobilityCount: Int { 3 }

    /// A group is the rings of one zone and mobility, one for each order. The last group's rings hold nothing.
    @inline(__always) static var groupCount: Int { ZoneKind.count * mobilityCount + 1 }

    /// The group of page blocks whose frames are not cached.
    @inline(__always) static var noGroup: UInt16 { UInt16(ZoneKind.count * mobilityCount) }

    @inline(__always) static var ringsPerZone: Int { mobilityCount * orderCount }

    /// A ring's place in a frame cache's array.
    @inline(__always)
    static func ring(zone: Int, _ mobility: Mobility, order: Int) -> Int {
        zone &* ringsPerZone &+ Int(mobility.rawValue) &* orderCount &+ order
    }

    /// The frames in a zone's rings when each holds one block.
    static var framesPerRingDepth: Int { mobilityCount * (1 << orderCount - 1) }

    /// The high mark of the rings of a zone that is not small.
    static var usualHigh: UInt32 { 16 }

    /// The group for a zone's frames in page blocks of `mobility`.
    @inline(__always)
    static func group(zone: Int, _ mobility: Mobility) -> Int {
        Int(mobility.rawValue) < mobilityCount
            ? zone &* mobilityCount &+ Int(mobility.rawValue) : Int(noGroup)
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

    /// Takes the `number` coldest blocks off and calls `body` with each.
    mutating func removeColdest(_ number: Int, _ body: (UInt32) -> Void) {
        for index in 0..<number { body(frames[index]) }
        for index in number..<Int(count) { frames[index - number] = frames[index] }
        count -= UInt32(number)
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
    let lock = SpinLock<P>()

    /// Blocks handed out and taken back by way of this cache.
    var allocations: UInt = 0
    var frees: UInt = 0

    var rings = InlineArray<40, FrameRing>(repeating: FrameRing())

    /// Frames in all rings of a zone.
    func frames(inZone zone: Int) -> UInt {
        var frames: UInt = 0
        let first = zone * FrameCacheLayout.mobilityCount * FrameCacheLayout.orderCount
        for ring in 0..<FrameCacheLayout.mobilityCount * FrameCacheLayout.orderCount {
            frames += UInt(rings[first + ring].count) << UInt(ring % FrameCacheLayout.orderCount)
        }
        return frames
    }
}
