import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Slab

/// Bytes that objects of a cache were asked for with, and that they have: what tells caches apart.
struct CacheKey: Hashable {
    var requested: UInt
    var allocated: UInt
}

/// What stands for an object of the trace.
struct LiveObject {
    /// Nil for one that somebody within the allocators has.
    var pointer: UInt?
    var size: UInt = 0
    var cache: CacheReference<SimulatedPlatform>?
    var tag: UInt64 = 0
}

/// What stands for a block of the trace.
struct LiveBlock {
    /// Nil for one that somebody within the allocators has.
    var frame: PageFrameNumber?
    var order: Int
}

/// What stands for an area of the trace.
struct LiveArea {
    enum Kind { case vmalloc, map, device, nested }

    var start: VirtualAddress
    var byteCount: UInt
    var kind: Kind
}

/// What came of an event.
enum ReplayOutcome {
    case done
    /// There was no memory, or the call refused it.
    case refused
    /// It is nested, or about memory that the replay does not have.
    case passedOver
}
