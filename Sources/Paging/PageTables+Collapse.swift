import MemoryPrimitives

/// Small pages made one large page again, where they have become alike.
extension PageTables {
    /// Replaces each table that lies within `range` and whose pages are one large page in all but name: 512 pages of the
    /// same permissions, one behind the other in memory that is aligned to the larger size. From 4 KiB to 2 MiB, and on to
    /// 1 GiB where the CPU has it.
    ///
    /// Every address is mapped as before, all the time. Pages that the CPU has noted as written to, and writable pages,
    /// become a large page that is noted so.
    /// - Parameters:
    ///   - range: whole 4 KiB pages. A table that reaches beyond it is left as it is.
    ///   - source: takes the tables, after no CPU walks through them any more.
    /// - Returns: the tables that were replaced.
    /// - Throws: `misaligned`, `notCanonical`, `sharedSubtree`; nothing has changed then.
    /// - Complexity: O(pages), and a flush of everything for every 32 tables; interrupts are disabled for one table at a
    ///   time. Any context that `source` allows.
    @discardableResult
    public func collapse(
        _ range: VirtualRange, using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) -> Int {
        if range.isEmpty { return 0 }
        let change = RangeChange(operation: .unmap, first: range.start.rawValue, byteCount: range.byteCount)
        try change.validate(features)
        try checkSharing(change.first, change.first &+ (change.byteCount &- 1))
        var replaced = collapse(change, toLevel: 1, using: &source)
        if features.gigabytePages { replaced &+= collapse(change, toLevel: 2, using: &source) }
        return replaced
    }

    /// Replaces what it can by leaves at `level`.
    private func collapse(
        _ change: RangeChange, toLevel level: Int, using source: inout some TableFrameSource & ~Copyable
    ) -> Int {
        let byteCount = PageTable.byteCount(ofLevel: level)
        let last = change.first &+ (change.byteCount &- 1)
        var address = (change.first &+ (byteCount &- 1)) & ~(byteCount &- 1)
        var replaced = 0
        var tables = ReplacedTables()
        // Up to the last large page that ends within the range; the first may have wrapped round to 0.
        while address >= change.first && last >= address && last &- address >= byteCount &- 1 {
            let covered = lock.withLock { collapse(at: address, toLevel: level, &tables) }
            if tables.isFull { replaced &+= finish(&tables, using: &source) }
            let (next, overflow) = address.addingReportingOverflow(covered)
            if overflow { break }
            address = next
        }
        return replaced &+ finish(&tables, using: &source)
    }

    /// Replaces the table below the entry at `level` for `address`, if it can. The lock is held.
    /// - Returns: how far to go on.
    private func collapse(at address: UInt, toLevel level: Int, _ tables: inout ReplacedTables) -> UInt {
        var cursor = cursor
        cursor.seek(address)
        // Nothing, or a page of that size already: all that the entry stands for is done.
        if cursor.level >= level { return cursor.byteCount &- (address & (cursor.byteCount &- 1)) }
        let byteCount = PageTable.byteCount(ofLevel: level)
        guard cursor.level == level &- 1, let leaf = cursor.mergedLeaf() else { return byteCount }
        tables.append(cursor.replaceTable(by: leaf))
        countTables(-1)
        return byteCount
    }

    /// Frees the tables that were replaced, after everything was flushed: each small page may be remembered by itself, and
    /// would outlive a flush of the large one. Until then the tables stay as they are, because a CPU may still walk through
    /// them. - Returns: how many there were.
    private func finish(
        _ tables: inout ReplacedTables, using source: inout some TableFrameSource & ~Copyable
    ) -> Int {
        let count = tables.count
        if count > 0 { P.flushAllPages() }
        tables.drain { source.freeTableFrame($0) }
        return count
    }

    /// Refuses a range that reaches into a slot whose tables belong to another.
    func checkSharing(_ first: UInt, _ last: UInt) throws(PagingError) {
        guard alias != nil else { return }
        let state = lock.acquire()
        defer { lock.release(state) }
        var cursor = cursor
        let shift = PageTable.shift(ofLevel: PageTableCursor.slotLevel)
        for slot in (first >> shift)...(last >> shift) {
            cursor.seek(slot << shift)
            if cursor.isInSharedSubtree { throw .sharedSubtree }
        }
    }
}

/// Tables in whose place a large page is now.
private struct ReplacedTables {
    private var frames = InlineArray<32, PhysicalAddress>(repeating: .zero)
    private(set) var count = 0

    var isFull: Bool { count == 32 }

    mutating func append(_ frame: PhysicalAddress) {
        frames[count] = frame
        count &+= 1
    }

    mutating func drain(_ free: (PhysicalAddress) -> Void) {
        for index in 0..<count { free(frames[index]) }
        count = 0
    }
}

extension PageTableCursor {
    /// The large page that all of the current table is, nil where it is not one.
    func mergedLeaf() -> PageTableEntry? {
        let size = pageSize(ofLevel: level)
        let larger = pageSize(ofLevel: level &+ 1)
        let table = PageTable(at: tables[level], directMap)
        let notes = PageTableEntry.accessedBit | PageTableEntry.dirtyBit
        let first = table[0]
        guard first.isLeaf(atLevel: level), first.pageAddress(size: size).isAligned(to: larger.byteCount) else {
            return nil
        }
        var found: UInt = 0
        for index in 0..<PageTable.entryCount {
            let entry = table[index].rawValue
            let expected = first.rawValue &+ (UInt(bitPattern: index) << size.shift)
            if (entry ^ expected) & ~notes != 0 { return nil }
            found |= entry & notes
        }
        // The CPU may note a write in the table after this look at it.
        if first.isWritable { found |= notes }
        return first.enlarged(from: size, to: larger, notes: found)
    }

    /// Puts a leaf in the place of the current table, and stands at it.
    /// - Returns: the table, which CPUs may still walk through.
    mutating func replaceTable(by leaf: PageTableEntry) -> PhysicalAddress {
        let table = tables[level]
        level &+= 1
        // In use before and after.
        PageTable(at: tables[level], directMap)[PageTable.index(of: address, atLevel: level)] = leaf
        return table
    }
}
