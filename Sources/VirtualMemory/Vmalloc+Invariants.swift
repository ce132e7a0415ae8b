import MemoryPrimitives
import PageFrames
import Paging
import Synchronization

extension Vmalloc {
    /// Checks the areas, then that the page tables hold exactly what each area says, and that a frame is promised for
    /// each page that is due at its first touch.
    ///
    /// Others who promise frames make the promises more than these: they are at least as many.
    /// - Throws: the first thing that is wrong.
    /// - Complexity: O(pages of all areas). For tests and the monitor, while no other CPU allocates or faults.
    public func checkInvariants() throws(InvariantViolation) {
        try ranges.checkInvariants()
        var untouched: UInt = 0
        try ranges.forEachArea { (area) throws(InvariantViolation) in
            // The pages of the others are their owners' business.
            if area.state != .live || (area.kind != .vmalloc && area.kind != .stack) { return }
            try checkGuards(area)
            try checkPages(area)
            if area.isOnDemand { untouched += area.reservedPages - area.presentPages }
        }
        untouched &-= grownStackPages.load(ordering: .relaxed)
        let promised = frames.value.promisedFrames
        if promised < untouched {
            throw InvariantViolation(
                "a frame is promised for each page not yet touched", found: promised, expected: untouched)
        }
    }

    /// Pages that are due at their first touch, in all areas. - Complexity: O(areas), with the areas' lock held.
    public var untouchedPages: UInt {
        var sum: UInt = 0
        ranges.forEachArea { area in
            if area.isOnDemand { sum += area.reservedPages - area.presentPages }
        }
        return sum &- grownStackPages.load(ordering: .relaxed)
    }

    private func checkGuards(_ area: Area) throws(InvariantViolation) {
        var page = area.range.start
        while page < area.range.end {
            if page == area.usable.start { page = area.usable.end }
            if page == area.range.end { return }
            if pageTables.value.lookup(page) != .none {
                throw InvariantViolation("a guard page is not mapped", at: page.rawValue)
            }
            page = page + PageSize.byteCount
        }
    }

    private func checkPages(_ area: Area) throws(InvariantViolation) {
        var present: UInt = 0
        var page = area.usable.start
        while page < area.usable.end {
            switch pageTables.value.lookup(page) {
            case .mapped(let translation):
                present += 1
                let frame = PageFrameNumber(containing: translation.physical)
                let state = frames.value.state(of: frame)
                if state != .allocatedHead && state != .interior {
                    throw InvariantViolation(
                        "a page's frame is an allocated one", at: page.rawValue, found: frame.rawValue)
                }
            case .demand:
                if !area.isOnDemand {
                    throw InvariantViolation("an area that was populated has all its pages", at: page.rawValue)
                }
            case .guardPage, .none:
                throw InvariantViolation("a page of an area is mapped or due", at: page.rawValue)
            }
            page = page + PageSize.byteCount
        }
        // What a stack has grown by its area does not know.
        if present < area.presentPages || present > area.presentPages && area.kind != .stack {
            throw InvariantViolation(
                "an area counts the pages that have a frame", at: area.usable.start.rawValue, found: area.presentPages,
                expected: present)
        }
    }
}
