import MemoryPrimitives

/// Pages of stacks, which become present in the midst of anything: no call here but the first takes a lock.
///
///     empty --reserveStack--> due --growStack--> present --clear--> empty
///                              '-----closeStack-> guard ---clear--> empty
///
/// **Why the walk needs no lock.** The entry of a due page keeps its table in use, and the table those above it; so they stay as
/// long as the stack is there. Where the address is a wild one, a table may be unlinked meanwhile by another CPU; but a table is
/// freed only after a flush that every CPU has answered, and a CPU answers no message while its interrupts are disabled.
/// So a walk with interrupts disabled reads tables that are tables still (Linux's `gup_fast` rests on the same). The entry
/// itself changes by one compare-and-swap, from due to present or from due to a guard entry, and never twice.
extension PageTables {
    /// What the tables say of a page to somebody who thinks that it is a stack's.
    public enum StackPage: Equatable, Sendable {
        /// A page of a stack, not there yet.
        case due
        /// A page is there, a stack's or another's.
        case present(PagePermissions)
        /// Anything else.
        case none
    }

    /// Fills `range` with entries of pages that are due when a stack grows, and makes the tables for them now. As
    /// `reserveDemand`.
    /// - Throws: as `reserveDemand`; nothing has changed then.
    public func reserveStack(
        _ range: VirtualRange, permissions: PagePermissions, using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) {
        if range.isEmpty { return }
        try run(
            RangeChange(
                operation: .reserve(.dueStackPage(permissions, features: features), largest: .size4KiB),
                first: range.start.rawValue,
                byteCount: range.byteCount),
            using: &source)
    }

    /// What is at `virtual`. Interrupts are disabled. Takes no lock. - Complexity: O(1), a read a level.
    @inline(__always)
    public func stackPage(at virtual: VirtualAddress) -> StackPage {
        guard let table = lastLevelTable(of: virtual) else { return .none }
        let entry = table[PageTable.index(of: virtual.rawValue, atLevel: 0)]
        if entry.isDueStackPage { return .due }
        return entry.isPresent ? .present(entry.permissions()) : .none
    }

    /// Puts `frame` behind the page of a stack at `virtual`. Interrupts are disabled. Takes no lock.
    ///
    /// Nothing is flushed: a not-present entry is never cached.
    /// - Parameters:
    ///   - virtual: any byte of the page.
    ///   - frame: a 4 KiB frame, which the page owns where this returns true.
    /// - Returns: false where no page of a stack is due there (any more).
    /// - Complexity: O(1), a read a level.
    public func growStack(at virtual: VirtualAddress, frame: PhysicalAddress) -> Bool {
        guard let table = lastLevelTable(of: virtual) else { return false }
        let index = PageTable.index(of: virtual.rawValue, atLevel: 0)
        while true {
            let entry = table[index]
            if !entry.isDueStackPage { return false }
            if table.replace(entry, by: entry.resolved(with: frame), at: index) { return true }
        }
    }

    /// Makes guard entries of the pages in `range` that are still due: from here on nothing in it grows. Takes no lock.
    ///
    /// - Parameter range: whole pages of a stack, which the caller owns.
    /// - Returns: how many pages were due. - Complexity: O(pages). Any context.
    public func closeStack(_ range: VirtualRange) -> UInt {
        var closed: UInt = 0
        var page = range.start
        while page < range.end {
            if let table = lastLevelTable(of: page) {
                let index = PageTable.index(of: page.rawValue, atLevel: 0)
                var entry = table[index]
                while entry.isDueStackPage {
                    if table.replace(entry, by: .guardPage, at: index) {
                        closed &+= 1
                        break
                    }
                    entry = table[index]
                }
            }
            page = page + PageSize.byteCount
        }
        return closed
    }

    /// How many pages of `range`, which lies in a stack, are there. Takes no lock. - Complexity: O(pages). Any context.
    public func presentPages(in range: VirtualRange) -> UInt {
        var count: UInt = 0
        var page = range.start
        while page < range.end {
            if frame(at: page) != nil { count &+= 1 }
            page = page + PageSize.byteCount
        }
        return count
    }

    /// The table that holds the 4 KiB entry for `virtual`, found without the lock; nil where there is none.
    @inline(__always)
    private func lastLevelTable(of virtual: VirtualAddress) -> PageTable? {
        if !features.isCanonical(virtual.rawValue) { return nil }
        guard var table = slotTable(of: virtual.rawValue) else { return nil }
        var level = PageTableCursor.slotLevel
        while level > 0 {
            let entry = PageTable(at: table, directMap)[PageTable.index(of: virtual.rawValue, atLevel: level)]
            if !entry.referencesTable(atLevel: level) { return nil }
            table = entry.tableAddress
            level &-= 1
        }
        return PageTable(at: table, directMap)
    }
}
