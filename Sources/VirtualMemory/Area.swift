import MemoryPrimitives

/// What an area of address space is for.
public enum AreaKind: UInt8, Sendable {
    /// Memory that is contiguous in virtual addresses only, given out by `Vmalloc`.
    case vmalloc
    /// A kernel stack.
    case stack
    /// Registers or memory of a device, mapped where the device says.
    case device
    /// Pages of guarded objects, each between two that nobody may touch; see `GuardedPool`.
    case guardedObjects
    /// Frames that belong to somebody else, mapped one after the other by `Vmalloc.mapFrames`.
    case map

    /// Whether the frames behind an area are given back with it.
    var ownsFrames: Bool { self != .map && self != .device }

    /// The kind in words, for reports.
    public var name: StaticString {
        switch self {
        case .vmalloc: "vmalloc"
        case .stack: "stack"
        case .device: "device"
        case .guardedObjects: "guarded objects"
        case .map: "vmap"
        }
    }
}

/// How far an area has come.
///
///     reserved --publish--> live --beginFree--> dying --finishFree--> (no area; its range rests or is free)
///         |                                       '--retire--> retired --purge--^
///         '----------------------------------------- abandon ---------^
///
/// Only the caller that reserved an area publishes or abandons it, and only the one that `beginFree` chose finishes it.
public enum AreaState: UInt8, Sendable {
    /// The range is taken, its pages are being set up.
    case reserved
    /// In use.
    case live
    /// Being freed: its pages are being taken away.
    case dying
    /// Freed, and no area any more; its frames and its range wait until every CPU knows, see `RetiredAreas`.
    case retired
    /// Freed, and no area any more; its range waits for a request for as many pages, see `RestingAreas`.
    case resting
    /// Freed, and its range is free. Nothing that the allocator holds is in this state.
    case gone

    /// Whether it is an area still.
    @inline(__always)
    var isInUse: Bool { rawValue < AreaState.retired.rawValue }
}

/// A range of address space and what it is for; a copy, as it was when it was asked for.
public struct Area: Sendable {
    /// What it is for.
    public let kind: AreaKind
    /// How far it is between being made and being gone.
    public internal(set) var state: AreaState
    /// True when pages are mapped at their first touch, each with a frame that was promised; else all are mapped.
    public let isOnDemand: Bool
    /// `hasOtherPermissions` and those below it: bits of one byte, so that notes of areas are no larger for them.
    var traits: UInt8 = 0
    /// Unmapped pages at the low end of `range`, which catch an underflow.
    public let guardPagesBelow: UInt16
    /// Unmapped pages at the high end of `range`, which catch an overflow.
    public let guardPagesAbove: UInt16
    /// All that the area takes, guard pages included. Whole pages.
    public let range: VirtualRange
    /// What its owner called it.
    public internal(set) var name: StaticString
    /// Who asked for it: a return address, or another number that the caller chose; 0 where unknown.
    public internal(set) var caller: UInt
    /// Pages that have a frame now; of a stack, those that had one from the beginning. Never above `reservedPages`.
    public internal(set) var presentPages: UInt
    /// Frames promised for tables that touches of this area may need: see `Vmalloc.allocateOnDemand`.
    public internal(set) var promisedTables: UInt = 0
    /// Where the area is noted down, for the caller that is setting it up or taking it apart; nil in the note itself.
    var note: AreaReference?

    private static var otherPermissionsTrait: UInt8 { 1 }
    private static var largePagesTrait: UInt8 { 2 }
    private static var neighboursTrait: UInt8 { 4 }
    private static var mappedTrait: UInt8 { 8 }
    private static var withdrawnTrait: UInt8 { 16 }

    /// What an area has from the beginning because it was asked for.
    static func traits(of request: AreaRequest) -> UInt8 {
        (request.hasLargePages ? largePagesTrait : 0) | (request.bringsNeighbours ? neighboursTrait : 0)
    }

    /// Whether pages have been allowed other things than at first: see `Vmalloc.notePermissionChange(in:)`.
    var hasOtherPermissions: Bool {
        get { has(Self.otherPermissionsTrait) }
        set { set(Self.otherPermissionsTrait, newValue) }
    }

    /// Whether a retired area's pages have yet to be taken away, see `Vmalloc.retire`.
    var isMapped: Bool {
        get { has(Self.mappedTrait) }
        set { set(Self.mappedTrait, newValue) }
    }

    /// Whether nothing is promised to an area on demand any more, because its freeing has begun.
    var isPromiseWithdrawn: Bool {
        get { has(Self.withdrawnTrait) }
        set { set(Self.withdrawnTrait, newValue) }
    }

    /// Whether there may be pages larger than 4 KiB behind the area, all there from the beginning.
    public var hasLargePages: Bool { has(Self.largePagesTrait) }

    /// Whether a touch of one page maps those around it too, where they are untouched and memory is at hand.
    public var bringsNeighbours: Bool { has(Self.neighboursTrait) }

    @inline(__always)
    private func has(_ trait: UInt8) -> Bool { traits & trait != 0 }

    private mutating func set(_ trait: UInt8, _ isSet: Bool) { traits = isSet ? traits | trait : traits & ~trait }

    /// What the owner may touch: the range without its guard pages.
    public var usable: VirtualRange {
        // No less than a page is left between the guard pages, which the range includes.
        VirtualRange(
            VirtualAddress(range.start.rawValue &+ UInt(guardPagesBelow) &<< PageSize.shift),
            VirtualAddress(range.end.rawValue &- UInt(guardPagesAbove) &<< PageSize.shift))
    }

    /// The pages that the owner may touch.
    public var reservedPages: UInt { usable.byteCount >> PageSize.shift }

    /// The frames that are promised to the area and not taken yet: for its pages, and for the tables that these may need.
    public var promisedFrames: UInt {
        isOnDemand && !isPromiseWithdrawn ? reservedPages &- presentPages &+ promisedTables : 0
    }

    /// Whether its freeing may be put off: the frames are its own, no page is larger than 4 KiB, and a purge, which gives
    /// back memory, does not need any to make the direct map's pages writable again.
    var canRetire: Bool {
        kind.ownsFrames && !hasLargePages && !hasOtherPermissions
            && !(isOnDemand && reservedPages >= PageSize.size2MiB.frameCount)
    }
}

/// What `VirtualRangeAllocator.allocate` is asked for.
public struct AreaRequest: Sendable {
    /// What the area is for.
    public var kind: AreaKind
    /// Pages that the owner may touch, at least one.
    public var pageCount: UInt
    /// Whether pages are to be mapped at their first touch; the caller of the range allocator sees to it.
    public var isOnDemand = false
    /// Whether there may be pages larger than 4 KiB; as above.
    public var hasLargePages = false
    /// Whether a touch may map more than its page. For what is to cost one frame for each page touched: false.
    public var bringsNeighbours = false
    /// Guard pages before the first usable one.
    public var guardPagesBelow: UInt16
    /// Guard pages behind the last usable one.
    public var guardPagesAbove: UInt16
    /// What the first usable address must be a multiple of, in bytes: a power of two, at least a page.
    public var alignment: UInt
    /// What reports call the area.
    public var name: StaticString
    /// The return address of whoever asks, for reports; 0 where unknown.
    public var caller: UInt
    /// Whether the area is to be in use at once, without a time in which its pages are set up and nobody may free it.
    public var isLiveAtOnce = false
    /// Where the whole area, guard pages included, has to lie; nil for anywhere in the space.
    public var bounds: VirtualRange?

    /// A request for `pageCount` usable pages, each mapped when its owner says so; what else there is has its usual value.
    public init(
        _ kind: AreaKind, pageCount: UInt, guardPagesBelow: UInt16 = 0, guardPagesAbove: UInt16 = 1,
        alignment: UInt = PageSize.byteCount, name: StaticString, caller: UInt = 0
    ) {
        self.kind = kind
        self.pageCount = pageCount
        self.guardPagesBelow = guardPagesBelow
        self.guardPagesAbove = guardPagesAbove
        self.alignment = alignment
        self.name = name
        self.caller = caller
    }
}
