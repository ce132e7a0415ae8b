import MemoryPrimitives
import PageFrames

/// Many pages of 4 KiB at once, whose frames lie anywhere: what vmalloc maps and takes away.
///
/// The last-level table is found once for all of its pages, and its entries are counted once.
extension PageTables {
    /// Maps the pages from `start` on to `frames`, one after the other.
    ///
    /// - Parameters:
    ///   - start: the first page's address, a multiple of 4096. All pages lie in the 2 MiB of one last-level table.
    ///   - frames: one for each page; they stay their owner's.
    ///   - permissions: what the pages are to allow.
    ///   - source: gives the tables that are missing: at most as many as there are levels below the root.
    /// - Throws: `alreadyMapped` (also for a demand or guard entry), `misaligned` (also for pages of two tables),
    ///   `notCanonical`, `beyondPhysicalLimit`, `sharedSubtree`, `userPageInKernelHalf`, `outOfTables`. Nothing has changed
    ///   then.
    /// - Complexity: O(pages), two visits to each, with interrupts disabled. Any context.
    public func mapFrames(
        from start: VirtualAddress, to frames: UnsafeBufferPointer<PageFrameNumber>, permissions: PagePermissions,
        using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) {
        if frames.isEmpty { return }
        try unsafe validate(start, frames, permissions)
        let leaf =
            permissions == .readWrite
            ? readWriteLeaf
            : PageTableEntry(leaf: .zero, size: .size4KiB, permissions: permissions, features: features)
        let first = PageTable.index(of: start.rawValue, atLevel: 0)
        let state = lock.acquire()
        do throws(PagingError) {
            let place = try placeForPages(start.rawValue, count: frames.count, using: &source)
            for index in 0..<frames.count {
                // Within the buffer, and within the table by `validate`.
                let frame = unsafe frames[index].rawValue
                place.table[first &+ index] = PageTableEntry(rawValue: leaf.rawValue | frame &<< PageSize.shift)
            }
            _ = place.count(frames.count)
        } catch {
            lock.release(state)
            throw error
        }
        lock.release(state)
    }

    /// A last-level table, and the entry that references it.
    private struct LastLevelPlace {
        let table: PageTable
        let parent: PageTable
        let index: Int

        /// Counts entries that came into use, or went. - Returns: true where none is left in a table that may go.
        @inline(__always)
        func count(_ difference: Int) -> Bool {
            let reference = parent[index]
            let inUse = reference.entriesInUse &+ difference
            parent[index] = reference.countingEntries(inUse)
            return inUse == 0 && !reference.isPermanent
        }
    }

    /// The table whose entries are slots of 512 GiB for `address`; nil where there is none. A place to begin at that is
    /// known when this is compiled, so that the levels below it need no loop.
    @inline(__always)
    func slotTable(of address: UInt) -> PhysicalAddress? {
        if _fastPath(!features.fiveLevels) { return root }
        let level = PageTableCursor.slotLevel &+ 1
        let entry = PageTable(at: root, directMap)[PageTable.index(of: address, atLevel: level)]
        return entry.referencesTable(atLevel: level) ? entry.tableAddress : nil
    }

    /// The last-level table for `address`; nil where there is none, or it belongs to another slot. The lock is held.
    @inline(__always)
    private func place(of address: UInt) -> LastLevelPlace? {
        guard let slots = slotTable(of: address) else { return nil }
        var parent = PageTable(at: slots, directMap)
        var level = PageTableCursor.slotLevel
        var shift = PageTable.shift(ofLevel: level)
        while true {
            let index = Int(bitPattern: (address &>> shift) & 511)
            let entry = parent[index]
            if !entry.referencesTable(atLevel: level) || entry.isShared { return nil }
            let table = PageTable(at: entry.tableAddress, directMap)
            if level == 1 { return LastLevelPlace(table: table, parent: parent, index: index) }
            parent = table
            level &-= 1
            shift &-= 9
        }
    }

    /// A last-level table with `count` empty entries from the one for `address` on. The lock is held.
    @inline(__always)
    private func placeForPages(
        _ address: UInt, count: Int, using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) -> LastLevelPlace {
        if let place = place(of: address) {
            let index = PageTable.index(of: address, atLevel: 0)
            let areEmpty =
                count == 1 ? place.table[index].isEmpty : place.table.emptyEntries(from: index, limit: count) == count
            if !areEmpty { throw .alreadyMapped }
            return place
        }
        try makeTable(for: address, using: &source)
        guard let place = place(of: address) else { preconditionFailure("the table was made just now") }
        return place
    }

    @inline(never)
    private func makeTable(
        for address: UInt, using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) {
        var cursor = cursor
        cursor.seek(address)
        if cursor.isInSharedSubtree { throw .sharedSubtree }
        if !cursor.entry.isEmpty { throw .alreadyMapped }
        let needed = cursor.level
        var reserve = TableList()
        if !reserve.fill(needed, from: &source, directMap) { throw .outOfTables }
        countTables(needed)
        // Nothing was there that could be split. Table entries of the lower half allow user pages; the leaves decide.
        _ = cursor.descend(to: 0, taking: &reserve, user: address >> 63 == 0)
    }

    @inline(__always)
    private func validate(
        _ start: VirtualAddress, _ frames: UnsafeBufferPointer<PageFrameNumber>, _ permissions: PagePermissions
    ) throws(PagingError) {
        if !start.isAligned(to: PageSize.byteCount) { throw .misaligned }
        if !features.isCanonical(start.rawValue) { throw .notCanonical }
        if PageTable.index(of: start.rawValue, atLevel: 0) &+ frames.count > PageTable.entryCount { throw .misaligned }
        if permissions.contains(.user) && start.rawValue >> 63 != 0 { throw .userPageInKernelHalf }
        var bits: UInt = 0
        // Within the buffer.
        for index in 0..<frames.count { bits |= unsafe frames[index].rawValue }
        if bits >> (features.physicalAddressBits &- PageSize.shift) != 0 { throw .beyondPhysicalLimit }
    }

    /// Empties the entries at the start of `range`, whatever is in them, until the range or the last-level table ends or
    /// `frames` is full; then flushes, and gives back the tables that became empty.
    ///
    /// - Parameters:
    ///   - range: whole 4 KiB pages, which the caller owns; its start moves up to what is left to do.
    ///   - frames: gets the frames of pages that were present or retired; no CPU reaches the former through these pages
    ///     any more, and of the latter the caller knows it.
    ///   - source: takes the tables that become empty.
    /// - Returns: how many frames there are. - Throws: `insideLargePage` where a larger page is found, `sharedSubtree`,
    ///   `misaligned`, `notCanonical`; nothing has changed then.
    /// - Complexity: O(pages), empty parts of the tree skipped whole, with interrupts disabled. Any context.
    public func takeFrames(
        from range: inout VirtualRange, into frames: UnsafeMutableBufferPointer<PageFrameNumber>,
        using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) -> Int {
        let start = range.start
        var unlinked = TableList()
        let found = try unsafe empty(&range, into: frames, &unlinked)
        if found.hasPresent || unlinked.count > 0 { flush(VirtualRange(start, range.start)) }
        unlinked.drain(into: &source, directMap)
        return found.count
    }

    /// As `takeFrames`, for pages whose frames are of no interest: of all of the range that one last-level table maps.
    /// - Returns: how many pages were there.
    /// - Throws: as `takeFrames`.
    public func emptyPages(
        from range: inout VirtualRange, using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) -> Int {
        let start = range.start
        try validate(start, range.byteCount)
        let state = lock.acquire()
        guard let place = place(of: start.rawValue) else {
            defer { lock.release(state) }
            try skip(&range)
            return 0
        }
        let first = PageTable.index(of: start.rawValue, atLevel: 0)
        let count = min(PageTable.entryCount &- first, Int(bitPattern: range.byteCount &>> PageSize.shift))
        let found = place.table.empty(from: first, count: count)
        range.start = start + UInt(bitPattern: count) &<< PageSize.shift
        var unlinked = TableList()
        if place.count(0 &- found.used) { unlinkTables(for: start.rawValue, into: &unlinked) }
        lock.release(state)
        if found.present > 0 || unlinked.count > 0 { flush(VirtualRange(start, range.start)) }
        unlinked.drain(into: &source, directMap)
        return found.present
    }

    @inline(__always)
    private func validate(_ start: VirtualAddress, _ byteCount: UInt) throws(PagingError) {
        if (start.rawValue | byteCount) & (PageSize.byteCount &- 1) != 0 { throw .misaligned }
        if !features.isCanonical(start.rawValue) { throw .notCanonical }
    }

    /// As `takeFrames`, of a range that no page is present in any more: flushes nothing, and leaves the tables that
    /// became empty to `free(_:using:)`.
    /// - Throws: as `takeFrames`.
    public func takeRetiredFrames(
        from range: inout VirtualRange, into frames: UnsafeMutableBufferPointer<PageFrameNumber>,
        unlinking tables: inout UnlinkedTables<P>
    ) throws(PagingError) -> Int {
        let start = range.start
        let before = tables.list.count
        let found = try unsafe empty(&range, into: frames, &tables.list)
        if found.hasPresent { flush(VirtualRange(start, range.start)) }
        if tables.list.count != before { tables.stale.add(start.rawValue) }
        return found.count
    }

    /// Empties entries as `takeFrames` does. - Returns: how many frames there were, and whether any was of a page.
    @inline(__always)
    private func empty(
        _ range: inout VirtualRange, into frames: UnsafeMutableBufferPointer<PageFrameNumber>,
        _ unlinked: inout TableList
    ) throws(PagingError) -> (count: Int, hasPresent: Bool) {
        let start = range.start
        try validate(start, range.byteCount)
        let state = lock.acquire()
        guard let place = place(of: start.rawValue) else {
            defer { lock.release(state) }
            try skip(&range)
            return (0, false)
        }
        let first = PageTable.index(of: start.rawValue, atLevel: 0)
        let end = min(PageTable.entryCount, first &+ Int(bitPattern: range.byteCount &>> PageSize.shift))
        var index = first
        var emptied = 0
        var count = 0
        var seen: UInt = 0
        while index < end && count < frames.count {
            let entry = place.table[index]
            if !entry.isEmpty {
                place.table[index] = .empty
                emptied &+= 1
                // Only a page's entry has the present bit.
                seen |= entry.rawValue
                if _fastPath(entry.isPresent) || entry.isRetired {
                    // Room was made sure of just now.
                    unsafe frames[count] = entry.frame
                    count &+= 1
                }
            }
            index &+= 1
        }
        range.start = start + UInt(bitPattern: index &- first) &<< PageSize.shift
        if place.count(0 &- emptied) { unlinkTables(for: start.rawValue, into: &unlinked) }
        lock.release(state)
        return (count, seen & PageTableEntry.presentBit != 0)
    }

    /// Takes the pages at the start of `range` away, until the range or the last-level table ends. Their entries keep the
    /// frames, for `takeRetiredFrames` once every CPU has been told that the pages are gone. **Nothing is flushed**.
    ///
    /// What is not present stays as it is, so that no table becomes empty. Large pages have no retired form: a caller that
    /// maps such takes them away at once.
    /// - Parameter range: whole 4 KiB pages, which the caller owns; its start moves up to what is left to do.
    /// - Returns: how many pages were there. - Throws: as `takeFrames`; nothing has changed then.
    /// - Complexity: O(pages), at most 512, with interrupts disabled. Any context.
    public func retireFrames(from range: inout VirtualRange) throws(PagingError) -> Int {
        let start = range.start
        try validate(start, range.byteCount)
        let state = lock.acquire()
        defer { lock.release(state) }
        guard let place = place(of: start.rawValue) else {
            try skip(&range)
            return 0
        }
        let first = PageTable.index(of: start.rawValue, atLevel: 0)
        let end = min(PageTable.entryCount, first &+ Int(bitPattern: range.byteCount &>> PageSize.shift))
        var count = 0
        for index in first..<end {
            let entry = place.table[index]
            if !entry.isPresent { continue }
            place.table[index] = entry.retired
            count &+= 1
        }
        range.start = start + UInt(bitPattern: end &- first) &<< PageSize.shift
        return count
    }

    /// Takes out the tables for `address` that have become empty. The lock is held.
    @inline(never)
    private func unlinkTables(for address: UInt, into unlinked: inout TableList) {
        var cursor = cursor
        cursor.seek(address)
        let before = unlinked.count
        if cursor.unlinkEmptyTables(into: &unlinked) { countTables(before &- unlinked.count) }
    }

    /// Moves the start of a range on to where the next last-level table may be. The lock is held.
    @inline(never)
    private func skip(_ range: inout VirtualRange) throws(PagingError) {
        var cursor = cursor
        cursor.seek(range.start.rawValue)
        if cursor.isInSharedSubtree { throw .sharedSubtree }
        // Nothing is there, or a page or what is due is larger than a table's.
        if !cursor.entry.isEmpty { throw .insideLargePage }
        let covered = cursor.byteCount &- (range.start.rawValue & (cursor.byteCount &- 1))
        range.start = covered < range.byteCount ? range.start + covered : range.end
    }

    /// Flushes the pages of a range, and the levels above them: one by one where they are few.
    @inline(__always)
    func flush(_ range: VirtualRange) {
        if range.byteCount == PageSize.byteCount {
            P.flushPage(range.start)
            if let other = alias?.alias(of: range.start.rawValue) { P.flushPage(VirtualAddress(other)) }
        } else {
            flushMany(range)
        }
    }

    @inline(never)
    private func flushMany(_ range: VirtualRange) {
        if range.byteCount > UInt(FlushBatch<P>.capacity) &<< PageSize.shift { return P.flushAllPages() }
        P.flushPages(in: range)
        if let other = alias?.alias(of: range.start.rawValue) {
            P.flushPages(in: VirtualRange(VirtualAddress(other), VirtualAddress(other &+ range.byteCount)))
        }
    }

    /// The frame that `virtual` is mapped to, without the tables' lock; nil where no page is.
    ///
    /// Nil for an address that is not canonical, too. For addresses that the caller owns: nobody may change what is mapped there meanwhile, nor take its tables away.
    /// - Complexity: O(1), at most a read a level. Any context.
    public func frame(at virtual: VirtualAddress) -> PageFrameNumber? {
        var table = root
        if _fastPath(!features.fiveLevels) {
            // Canonical, by a shift that is known when this is compiled.
            if (virtual.rawValue &+ 1 &<< 47) &>> 48 != 0 { return nil }
        } else {
            guard features.isCanonical(virtual.rawValue), let slots = slotTable(of: virtual.rawValue) else {
                return nil
            }
            table = slots
        }
        var level = PageTableCursor.slotLevel
        while true {
            let entry = PageTable(at: table, directMap)[PageTable.index(of: virtual.rawValue, atLevel: level)]
            if !entry.isPresent { return nil }
            if !entry.referencesTable(atLevel: level) {
                let size = pageSize(ofLevel: level)
                let offset = virtual.rawValue & (size.byteCount &- 1)
                return PageFrameNumber(
                    containing: PhysicalAddress(entry.pageAddress(size: size).rawValue &+ offset))
            }
            table = entry.tableAddress
            level &-= 1
        }
    }
}
