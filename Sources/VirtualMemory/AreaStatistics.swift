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
    /// Frames of areas that were freed, which wait for a purge; in none of the above.
    public internal(set) var retiredPages: UInt = 0

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
    /// Bytes of the largest free range of addresses. - Complexity: O(1).
    public var largestGap: UInt { lock.withLock { unlockedState.tree.tree.root?.node.largestGap ?? 0 } }

    /// Figures over all areas. - Complexity: O(1).
    public var statistics: AreaStatistics { lock.withLock { unlockedState.figures } }
}
