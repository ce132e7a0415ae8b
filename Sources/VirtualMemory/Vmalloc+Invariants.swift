import MemoryPrimitives
import PageFrames
import Paging
import Synchronization

extension Vmalloc {
    /// Checks the areas, then that the page tables hold exactly what each area says, and that a frame is promised for
    /// each page that is due at its first touch, and for each table that such pages may need.
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
            untouched += area.promisedFrames
        }
        untouched &-= grownStackPages.load(ordering: .relaxed)
        let promised = frames.value.promisedFrames
        if promised < untouched {
            throw InvariantViolation(
                "a frame is promised for each page not yet touched", found: promised, expected: untouched)
        }
    }

    /// Frames that are promised to areas and not taken yet. - Complexity: O(areas), with the areas' lock held.
    public var untouchedFrames: UInt {
        var sum: UInt = 0
        ranges.forEachArea { area in sum += area.promisedFrames }
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

    /// What the entries of an area come to.
    private struct Found {
        var next: VirtualAddress
        var present: UInt = 0
        /// Tables that it takes to cut all large entries into pages.
        var tables: UInt = 0
    }

    private func checkPages(_ area: Area) throws(InvariantViolation) {
        var found = Found(next: area.usable.start)
        while found.next < area.usable.end {
            guard let entry = pageTables.value.entry(around: found.next), entry.address == found.next else {
                throw InvariantViolation("a page of an area is mapped or due", at: found.next.rawValue)
            }
            try check(entry, area, &found)
        }
        if found.next != area.usable.end {
            throw InvariantViolation("an area's entries end where it does", at: found.next.rawValue)
        }
        // What a stack has grown by its area does not know.
        if found.present < area.presentPages || found.present > area.presentPages && area.kind != .stack {
            throw InvariantViolation(
                "an area counts the pages that have a frame", at: area.usable.start.rawValue, found: area.presentPages,
                expected: found.present)
        }
        if found.tables != area.promisedTables {
            throw InvariantViolation(
                "an area counts the tables that its pages may need", at: area.usable.start.rawValue,
                found: area.promisedTables, expected: found.tables)
        }
    }

    private func check(_ entry: WalkedEntry, _ area: Area, _ found: inout Found) throws(InvariantViolation) {
        let address = entry.address.rawValue
        switch entry.content {
        case .mapped(let translation):
            found.present += entry.byteCount >> PageSize.shift
            for page in 0..<entry.byteCount >> PageSize.shift {
                let frame = PageFrameNumber(containing: translation.physical) + page
                let state = frames.value.state(of: frame)
                if state != .allocatedHead && state != .interior {
                    throw InvariantViolation("a page's frame is an allocated one", at: address, found: frame.rawValue)
                }
            }
        case .demand:
            if !area.isOnDemand {
                throw InvariantViolation("an area that was populated has all its pages", at: address)
            }
            switch entry.byteCount {
            case PageSize.size1GiB.byteCount: found.tables += 513
            case PageSize.size2MiB.byteCount: found.tables += 1
            default: break
            }
        case .guardPage, .none:
            throw InvariantViolation("a page of an area is mapped or due", at: address)
        }
        found.next = entry.address + entry.byteCount
    }
}
