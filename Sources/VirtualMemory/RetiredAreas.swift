import MemoryPrimitives

/// Areas that were freed and wait for a purge: other CPUs may remember their pages.
///
/// A list in the order of freeing, through the areas' notes. The notes stay in the tree, so that nobody gets the range.
struct RetiredAreas {
    private(set) var first: AreaReference?
    private var last: AreaReference?
    /// Pages of their ranges, guard pages included.
    private(set) var pageCount: UInt = 0
    private(set) var count = 0

    /// Adds an area, whose state says so already. - Complexity: O(1).
    mutating func append(_ area: AreaReference) {
        area.node.nextResting = nil
        if let last { last.node.nextResting = area } else { first = area }
        last = area
        count &+= 1
        pageCount &+= area.node.area.range.byteCount &>> PageSize.shift
    }

    /// Takes all out. - Complexity: O(1).
    mutating func takeAll() -> RetiredAreas {
        let all = self
        self = RetiredAreas()
        return all
    }

    /// Calls `body` with each, in order; it may end the area.
    @inline(__always)
    func forEach(_ body: (AreaReference) -> Void) {
        var current = first
        while let area = current {
            current = area.node.nextResting
            body(area)
        }
    }

    /// Checks that the list holds what it says. - Returns: how many there are. - Complexity: O(areas here).
    func checkInvariants() throws(InvariantViolation) -> Int {
        var found = 0
        var pages: UInt = 0
        var current = first
        while let area = current {
            if area.node.area.state != .retired {
                throw InvariantViolation("only what was retired waits", at: area.start.rawValue)
            }
            found += 1
            pages += area.node.area.range.byteCount >> PageSize.shift
            if area.node.nextResting == nil && last != area {
                throw InvariantViolation("the list of what was retired knows its end", at: area.start.rawValue)
            }
            current = area.node.nextResting
        }
        if pages != pageCount || found != count {
            throw InvariantViolation("the pages that wait are counted", found: pageCount, expected: pages)
        }
        return found
    }
}
