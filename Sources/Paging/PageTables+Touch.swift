import MemoryPrimitives
import PageFrames

/// What a fault finds where it happened.
public enum TouchedEntry: Sendable {
    /// A page is there, and allows this.
    case mapped(PagePermissions)
    /// Pages are due, one entry each.
    case due(DuePages)
    /// A zeroed large page is due, or its parts are; the entry is one.
    case largeDue(PagePermissions, PageSize)
    /// A guard entry, or nothing.
    case nothing
}

/// Pages that follow each other in one table, due at their first touch and alike.
public struct DuePages: Sendable {
    /// The first one's address.
    public let start: VirtualAddress
    /// At least one.
    public let count: Int
    fileprivate let table: PhysicalAddress
    fileprivate let entry: PageTableEntry

    /// What the pages are to allow when they are there.
    public var permissions: PagePermissions { entry.permissions() }

    /// Whether the pages may be written, executed and used by user mode, as far as that is asked for.
    @inline(__always)
    public func allow(write: Bool, execute: Bool, user: Bool) -> Bool {
        !(write && !entry.isWritable || execute && !entry.isExecutable || user && !entry.isUser)
    }
}

/// The first touch of what `reserveDemand` has set up:
///
///     1 GiB demand --split--> 512 * 2 MiB demand --resolveLarge--> 2 MiB page
///                                  '-----split-----> 512 * 4 KiB demand --resolve--> 4 KiB pages
///
/// A not-present entry is never cached, so that nothing here is flushed.
extension PageTables {
    /// What is at `virtual`, with the pages around it in `window` that are due as it is. Without the tables' lock.
    ///
    /// The caller sees to it that nobody takes the tables away meanwhile: he keeps the area from being freed.
    /// - Parameters:
    ///   - virtual: any byte of the page.
    ///   - window: whole pages of one table's, `virtual` among them.
    /// - Complexity: O(pages in the window). Any context.
    @inline(__always)
    public func touch(_ virtual: VirtualAddress, within window: VirtualRange) -> TouchedEntry {
        guard features.isCanonical(virtual.rawValue), var frame = slotTable(of: virtual.rawValue) else {
            return .nothing
        }
        var level = PageTableCursor.slotLevel
        while true {
            let table = PageTable(at: frame, directMap)
            let index = PageTable.index(of: virtual.rawValue, atLevel: level)
            let entry = table[index]
            if entry.referencesTable(atLevel: level) {
                frame = entry.tableAddress
                level &-= 1
                continue
            }
            if entry.isDemand {
                if level != 0 { return .largeDue(entry.permissions(), pageSize(ofLevel: level)) }
                // The mark of `checkInvariants`, which may be running, is none of the page's.
                let entry = PageTableEntry(rawValue: entry.rawValue & ~PageTableEntry.visitedBit)
                let start = PageTable.index(of: window.start.rawValue, atLevel: 0)
                let count = Int(bitPattern: window.byteCount &>> PageSize.shift)
                let around = table.series(like: entry, around: index, in: start..<start &+ count)
                return .due(
                    DuePages(
                        start: window.start + UInt(bitPattern: around.lowerBound &- start) &<< PageSize.shift,
                        count: around.count, table: frame, entry: entry))
            }
            return entry.isPresent ? .mapped(entry.permissions(atLevel: level)) : .nothing
        }
    }

    /// Makes pages present that `touch` found due, with cleared frames that follow each other.
    /// - Parameters:
    ///   - pages: what `touch` found.
    ///   - part: which of the pages, by their place in the run.
    ///   - frame: the first one's; all are the pages' where this returns true.
    /// - Returns: false, with nothing changed, where one of them is not as it was any more.
    /// - Complexity: O(pages). Any context. As for `touch`, nobody takes the tables away meanwhile.
    @inline(__always)
    public func resolve(_ pages: DuePages, _ part: Range<Int>, with frame: PageFrameNumber) -> Bool {
        let first = PageTable.index(of: pages.start.rawValue, atLevel: 0) &+ part.lowerBound
        let table = PageTable(at: pages.table, directMap)
        let state = lock.acquire()
        defer { lock.release(state) }
        if table.equalEntries(from: first, limit: part.count, pages.entry) != part.count { return false }
        // As many entries are in use as before.
        table.fill(
            from: first, count: part.count, with: pages.entry.resolved(with: frame.address),
            difference: PageSize.byteCount)
        return true
    }

    /// Makes the 2 MiB that are due at `virtual` one page.
    /// - Parameters:
    ///   - virtual: any byte of it.
    ///   - frame: the first of 512 cleared ones, aligned to as many, which are the page's where this returns true.
    /// - Returns: false, with nothing changed, where the entry is no demand entry of 2 MiB (any more).
    /// - Complexity: O(1). Any context.
    public func resolveLarge(at virtual: VirtualAddress, with frame: PageFrameNumber) -> Bool {
        if !features.isCanonical(virtual.rawValue) { return false }
        return lock.withLock {
            var cursor = cursor
            cursor.seek(virtual.rawValue)
            let entry = cursor.entry
            if !entry.isDemand || cursor.level != 1 { return false }
            cursor.write(
                PageTableEntry(
                    leaf: frame.address, size: .size2MiB, permissions: entry.permissions(), features: features))
            return true
        }
    }

    /// Cuts what is due at `virtual` in one entry of `size` into 512 entries of the next smaller size.
    /// - Parameters:
    ///   - virtual: any byte of it.
    ///   - size: what the entry stands for; not 4 KiB.
    ///   - table: a frame that is the tables' own where this returns true; its contents do not matter.
    /// - Returns: false, with nothing changed, where the entry is no demand entry of that size (any more).
    /// - Complexity: O(512). Any context.
    public func splitDemand(at virtual: VirtualAddress, size: PageSize, table: PhysicalAddress) -> Bool {
        if !features.isCanonical(virtual.rawValue) || size == .size4KiB { return false }
        let new = PageTable(at: table, directMap)
        return lock.withLock {
            var cursor = cursor
            cursor.seek(virtual.rawValue)
            let entry = cursor.entry
            if !entry.isDemand || cursor.level != Int(size.rawValue) { return false }
            new.fill(from: 0, count: PageTable.entryCount, with: entry, difference: 0)
            // In use before and after; the new table is full.
            cursor.write(
                PageTableEntry(
                    table: table, entriesInUse: PageTable.entryCount, user: virtual.rawValue >> 63 == 0))
            countTables(1)
            return true
        }
    }

    /// What `takeLarge` found at the start of its range.
    public enum LargeEntry: Sendable {
        /// A table is there, or nothing that is due: `takeFrames` goes on.
        case none
        /// What was due is so no more.
        case due
        /// A page was there; its first frame, and how large it was. No CPU reaches it through this page any more.
        case page(PageFrameNumber, PageSize)
    }

    /// Empties the entry at the start of `range` where it is one that stands for more than 4 KiB.
    ///
    /// - Parameters:
    ///   - range: whole 4 KiB pages, which the caller owns; its start moves up to what is left to do.
    ///   - source: takes the tables that become empty.
    /// - Throws: `insideLargePage` where the entry stands for what lies outside of the range; nothing has changed then.
    /// - Complexity: O(1). Any context.
    /// - Returns: what the entry was.
    public func takeLarge(
        from range: inout VirtualRange, using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) -> LargeEntry {
        if range.byteCount < PageSize.size2MiB.byteCount { return .none }
        var unlinked = TableList()
        let state = lock.acquire()
        var cursor = cursor
        cursor.seek(range.start.rawValue)
        let entry = cursor.entry
        if cursor.level == 0 || entry.isEmpty {
            lock.release(state)
            return .none
        }
        let byteCount = cursor.byteCount
        if !range.start.isAligned(to: byteCount) || range.byteCount < byteCount {
            lock.release(state)
            throw .insideLargePage
        }
        let size = pageSize(ofLevel: cursor.level)
        cursor.write(.empty)
        if cursor.unlinkEmptyTables(into: &unlinked) { countTables(0 &- unlinked.count) }
        lock.release(state)
        // One page, or the table that was above it: either way one flush drops what CPUs remember of it.
        if entry.isPresent || unlinked.count > 0 {
            flush(VirtualRange(range.start, range.start + PageSize.byteCount))
        }
        unlinked.drain(into: &source, directMap)
        range.start = range.start + byteCount
        return entry.isPresent ? .page(PageFrameNumber(containing: entry.pageAddress(size: size)), size) : .due
    }
}
