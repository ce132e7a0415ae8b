import MemoryPrimitives
import PageFrames
import Slab

/// How far a slot of a `GuardedPool` has come; all moves but the two in the middle are made under the pool's lock.
///
///     unused --take--> changing --give--> allocated --beginFree--> changing --put--> freed
///                          ^------------------------------ take ----------------------'
///
/// | state     | the page                            | in the queue |
/// |-----------|-------------------------------------|--------------|
/// | unused    | was never handed out; not mapped    | yes          |
/// | changing  | one CPU sets it up or takes it away | no           |
/// | allocated | mapped, its user's                  | no           |
/// | freed     | not mapped                          | yes          |
enum GuardedSlotState: UInt8 {
    case unused
    case changing
    case allocated
    case freed
}

/// Who did something to an object, when and where.
public struct GuardedEvent: Sendable {
    /// The callers, the nearest first.
    public var trace = StackTrace()
    /// The CPU's number.
    public var cpu: UInt = 0
    /// In the platform's ticks.
    public var time: UInt64 = 0

    /// Now.
    @inline(__always)
    static func now<P: Platform>(on platform: P.Type, by trace: StackTrace) -> GuardedEvent {
        var event = GuardedEvent()
        event.trace = trace
        event.cpu = UInt(bitPattern: P.currentCPU)
        event.time = P.cycleCounter
        return event
    }
}

/// What the pool knows of a slot: the page, and the object that is or was in it last.
struct GuardedSlot {
    var state = GuardedSlotState.unused
    /// The next slot in the queue; negative for none.
    var next: Int32 = -1
    /// The memory behind the page, the slot's for good.
    let frame: PageFrameNumber
    /// Where the object starts.
    var address: UInt = 0
    var byteCount: UInt = 0
    var cache: UInt = 0
    var cacheName = CacheName("")
    var clearsWhenFreed = false
    var allocation = GuardedEvent()
    var release = GuardedEvent()

    init(frame: PageFrameNumber) { self.frame = frame }

    /// The object's bytes within its page.
    var range: Range<Int> {
        let start = Int(bitPattern: address & (PageSize.byteCount &- 1))
        return start..<start &+ Int(bitPattern: byteCount)
    }
}
