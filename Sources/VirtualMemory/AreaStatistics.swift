import MemoryPrimitives

/// What the areas add up to at one moment.
public struct AreaStatistics: Equatable, Sendable {
    /// Areas in any state.
    public internal(set) var areas: UInt = 0
    /// Pages that their owners may touch, guard pages not counted.
    public internal(set) var reservedPages: UInt = 0
    /// Of these, the pages that have a frame.
    public internal(set) var presentPages: UInt = 0
    /// Of these, the pages of kernel stacks.
    public internal(set) var stackPages: UInt = 0

    /// Frames promised to areas on demand and not taken yet: for pages, and for the tables that these may need.
    public internal(set) var promisedFrames: UInt = 0
    /// Of the pages that have a frame, those that got it at their first touch.
    public internal(set) var touchedPages: UInt = 0

    /// What areas on demand have been promised, whether they have taken it or not: Linux's `Committed_AS`.
    public var committedFrames: UInt { promisedFrames &+ touchedPages }

    /// Notes that `count` pages of an area of `kind` have got a frame.
    @inline(__always)
    mutating func add(_ count: UInt, of kind: AreaKind) {
        presentPages &+= count
        if kind == .stack { stackPages &+= count }
    }

    /// The opposite of `add`.
    @inline(__always)
    mutating func remove(_ count: UInt, of kind: AreaKind) {
        presentPages &-= count
        if kind == .stack { stackPages &-= count }
    }
}

extension VirtualRangeAllocator {
    /// Figures over all areas. - Complexity: O(1).
    public var statistics: AreaStatistics { lock.withLock { unlockedState.figures } }
}
