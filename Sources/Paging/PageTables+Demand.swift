import MemoryPrimitives

/// Not-present entries that mean something, and how they end.
///
///     empty --reserveDemand--> demand --resolveDemand--> present --clear--> empty
///     empty --reserveGuard---> guard ----------------------------clear--> empty
///                              demand ---------------------------clear--> empty
extension PageTables {
    /// Fills `range` with entries for zeroed pages at the first touch, and makes the tables for these entries now.
    ///
    /// - Parameters:
    ///   - range: whole 4 KiB pages.
    ///   - permissions: what the pages are to allow when they are there.
    ///   - largest: what one entry may stand for at most: the largest that fits is chosen. What stands for more than a page
    ///     needs tables when it is touched: see `splitDemand`.
    ///   - source: gives the tables that are missing.
    /// - Throws: as `map`; nothing has changed then.
    /// - Complexity: O(entries), at most two visits to each, with interrupts disabled. Any context.
    public func reserveDemand(
        _ range: VirtualRange, permissions: PagePermissions, largest: PageSize = .size4KiB,
        using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) {
        try reserve(range, .demand(permissions, features: features), largest: largest, using: &source)
    }

    /// Fills `range` with guard entries, which `lookup` can tell from unmapped pages. As `reserveDemand`.
    /// - Throws: as `reserveDemand`; nothing has changed then.
    public func reserveGuard(
        _ range: VirtualRange, using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) {
        try reserve(range, .guardPage, largest: .size4KiB, using: &source)
    }

    private func reserve(
        _ range: VirtualRange, _ entry: PageTableEntry, largest: PageSize,
        using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) {
        if range.isEmpty { return }
        try run(
            RangeChange(
                operation: .reserve(entry, largest: largest), first: range.start.rawValue,
                byteCount: range.byteCount),
            using: &source)
    }

    /// Makes the demand entry at `virtual` present, with `frame` behind it.
    ///
    /// Nothing is flushed: a not-present entry is never cached.
    /// - Parameters:
    ///   - virtual: any byte of the page.
    ///   - frame: a cleared 4 KiB frame, which the page owns where this returns true.
    /// - Returns: false when the entry is no demand entry of one page (any more): another CPU was first, or cleared it.
    /// - Complexity: O(1). Any context, the page-fault handler above all.
    public func resolveDemand(at virtual: VirtualAddress, frame: PhysicalAddress) -> Bool {
        if !features.isCanonical(virtual.rawValue) { return false }
        return lock.withLock {
            var cursor = cursor
            cursor.seek(virtual.rawValue)
            let entry = cursor.entry
            if !entry.isDemand || cursor.level != 0 { return false }
            cursor.write(entry.resolved(with: frame))
            return true
        }
    }

    /// Empties `range` whatever is in it: pages, demand and guard entries, nothing.
    ///
    /// The lock is released between batches. A frame is handed to `visit` only after its page was flushed, so that
    /// nobody reaches it any more and it can be freed there; `visit` runs without the lock.
    /// - Parameters:
    ///   - range: whole 4 KiB pages, which the caller owns.
    ///   - visit: called with each present page's first physical address and its size.
    ///   - source: takes the tables that become empty.
    /// - Throws: `misaligned`, `notCanonical`, `sharedSubtree`; `insideLargePage` where a large page, or what is due as
    ///   one, lies across an end. Nothing has changed then.
    /// - Complexity: O(pages); empty parts of the tree are skipped whole. Any context that `visit` and `source` allow.
    public func clear(
        _ range: VirtualRange, using source: inout some TableFrameSource & ~Copyable,
        visiting visit: (PhysicalAddress, PageSize) -> Void
    ) throws(PagingError) {
        if range.isEmpty { return }
        let change = RangeChange(operation: .unmap, first: range.start.rawValue, byteCount: range.byteCount)
        try change.validate(features)
        try checkEdges(change.first, change.first &+ (change.byteCount &- 1))
        if P.isTracing { trace(change) }
        var offset: UInt = 0
        var batch = ClearedPages()
        while offset < change.byteCount {
            var outcome = ChangeOutcome<P>()
            lock.withLock { clearBatch(change, &offset, &batch, &outcome) }
            finish(&outcome, using: &source)
            batch.drain(visit)
        }
    }

    /// Refuses what `clear` cannot do, at both ends of the range and at the slots between.
    private func checkEdges(_ first: UInt, _ last: UInt) throws(PagingError) {
        let state = lock.acquire()
        defer { lock.release(state) }
        var cursor = cursor
        cursor.seek(first)
        if !cursor.entry.isEmpty && first & (cursor.byteCount &- 1) != 0 { throw .insideLargePage }
        cursor.seek(last)
        if !cursor.entry.isEmpty && ~last & (cursor.byteCount &- 1) != 0 { throw .insideLargePage }
        let slotShift = PageTable.shift(ofLevel: PageTableCursor.slotLevel)
        for slot in (first >> slotShift)...(last >> slotShift) {
            cursor.seek(slot << slotShift)
            if cursor.isInSharedSubtree { throw .sharedSubtree }
        }
    }

    /// Clears entries until the batch is full or the range ends. The lock is held.
    private func clearBatch(
        _ change: RangeChange, _ offset: inout UInt, _ batch: inout ClearedPages,
        _ outcome: inout ChangeOutcome<P>
    ) {
        var cursor = cursor
        var visits = 0
        while offset < change.byteCount && !batch.isFull && visits < PageTable.entryCount {
            visits &+= 1
            let address = change.first &+ offset
            cursor.seek(address)
            let entry = cursor.entry
            // Up to the end of what this entry stands for; at an end of the range, that may be beyond it.
            let covered = cursor.byteCount &- (address & (cursor.byteCount &- 1))
            offset = min(change.byteCount, offset &+ covered)
            if entry.isEmpty { continue }
            cursor.write(.empty)
            if entry.isPresent {
                let size = pageSize(ofLevel: cursor.level)
                batch.append(entry.pageAddress(size: size), size)
                outcome.flush.add(address)
            }
            unlink(&cursor, &outcome)
        }
    }
}

/// Pages taken out of the tables, kept until they are flushed. A page's size stands in the low bits of its address.
private struct ClearedPages {
    private var pages = InlineArray<32, UInt>(repeating: 0)
    private var count = 0

    var isFull: Bool { count == 32 }

    mutating func append(_ page: PhysicalAddress, _ size: PageSize) {
        pages[count] = page.rawValue | UInt(size.rawValue)
        count &+= 1
    }

    mutating func drain(_ visit: (PhysicalAddress, PageSize) -> Void) {
        for index in 0..<count {
            let size = PageSize(rawValue: UInt8(truncatingIfNeeded: pages[index] & 3)) ?? .size4KiB
            visit(PhysicalAddress(pages[index] & ~(PageSize.byteCount &- 1)), size)
        }
        count = 0
    }
}
