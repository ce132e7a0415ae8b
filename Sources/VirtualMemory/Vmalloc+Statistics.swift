import MemoryPrimitives
import Synchronization

/// What vmalloc and the kernel stacks come to at one moment.
public struct VmallocStatistics: Equatable, Sendable {
    /// Areas, stacks included, and their pages.
    public var areas: AreaStatistics
    /// Pages that were mapped at their first touch, since bring-up.
    public var resolvedFaults: UInt
    /// Faults on pages that were there already, since bring-up.
    public var spuriousFaults: UInt
}

extension Vmalloc {
    /// What the areas add up to at one moment.
    /// - Complexity: O(1).
    public var statistics: VmallocStatistics {
        var areas = ranges.statistics
        let grown = grownStackPages.load(ordering: .relaxed)
        areas.presentPages &+= grown
        areas.stackPages &+= grown
        areas.promisedFrames &-= grown
        areas.touchedPages &+= grown
        return VmallocStatistics(
            areas: areas, resolvedFaults: resolvedFaults.load(ordering: .relaxed),
            spuriousFaults: spuriousFaults.load(ordering: .relaxed))
    }
}
