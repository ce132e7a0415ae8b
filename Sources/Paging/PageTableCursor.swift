import MemoryPrimitives

/// A place in a tree of tables: the path from the root to the entry that stands for an address.
///
/// The entry is a leaf, or a not-present entry at whatever level the path ends. Moving on to the next page walks only
/// the levels that differ.
struct PageTableCursor {
    /// The level whose entries stand for 512 GiB, of which two may share what is below.
    static var slotLevel: Int { 3 }

    let directMap: DirectMap
    /// The level of the root's entries.
    let topLevel: Int
    /// The path's tables, valid from `level` up.
    var tables: InlineArray<5, PhysicalAddress>
    private(set) var address: UInt
    /// The level of the current entry: 0 for 4 KiB, `topLevel` for the top.
    var level: Int

    init(root: PhysicalAddress, _ directMap: DirectMap, topLevel: Int) {
        self.directMap = directMap
        self.topLevel = topLevel
        tables = InlineArray(repeating: root)
        address = 0
        level = topLevel
    }

    /// Moves to the entry for `target`. - Complexity: at most five reads.
    @inline(__always)
    mutating func seek(_ target: UInt) {
        let difference = address ^ target
        // The path is good from the first level whose tables both addresses share.
        while level < topLevel && difference >> PageTable.shift(ofLevel: level &+ 1) != 0 { level &+= 1 }
        address = target
        var current = entry
        while current.referencesTable(atLevel: level) {
            level &-= 1
            tables[level] = current.tableAddress
            current = entry
        }
    }

    private var index: Int { PageTable.index(of: address, atLevel: level) }

    /// The current entry.
    var entry: PageTableEntry { PageTable(at: tables[level], directMap)[index] }

    /// The entry at `level`, which must not be below the current one.
    func entry(atLevel level: Int) -> PageTableEntry {
        PageTable(at: tables[level], directMap)[PageTable.index(of: address, atLevel: level)]
    }

    /// Whether the current entry is reached through a slot whose tables belong to another.
    @inline(__always)
    var isInSharedSubtree: Bool { level <= Self.slotLevel && entry(atLevel: Self.slotLevel).isShared }

    /// Has the table that the entry at `level` references kept even when it is empty.
    func makePermanent(atLevel level: Int) {
        let table = PageTable(at: tables[level], directMap)
        table[PageTable.index(of: address, atLevel: level)].rawValue |= PageTableEntry.permanentBit
    }

    /// Clears bits of the current entry, a leaf, in one step, because the CPU may set them meanwhile.
    /// - Returns: the entry as it was.
    @inline(__always)
    func clear(_ bits: UInt) -> PageTableEntry { PageTable(at: tables[level], directMap).clear(bits, at: index) }

    /// Replaces the current leaf by another, with what the CPU has noted in it until then.
    @inline(__always)
    func replaceLeaf(by new: PageTableEntry) {
        let table = PageTable(at: tables[level], directMap)
        let notes = PageTableEntry.accessedBit | PageTableEntry.dirtyBit
        let old = table.exchange(new, at: index)
        let missing = old.rawValue & notes & ~new.rawValue
        if missing != 0 { table.set(missing, at: index) }
    }

    /// The bytes that the current entry stands for.
    var byteCount: UInt { PageTable.byteCount(ofLevel: level) }

    /// Replaces the current entry by one that references no table, and keeps the count of entries in use.
    @inline(__always)
    func write(_ new: PageTableEntry) {
        let table = PageTable(at: tables[level], directMap)
        let wasEmpty = table[index].isEmpty
        table[index] = new
        if wasEmpty != new.isEmpty { adjustCount(by: wasEmpty ? 1 : -1) }
    }

    /// How many entries from the current one on, which is empty, are so; at most `limit`, which ends within the table.
    @inline(__always)
    func emptyEntries(limit: Int) -> Int {
        limit == 1 ? 1 : PageTable(at: tables[level], directMap).emptyEntries(from: index, limit: limit)
    }

    /// Fills `count` entries of the current table, all of them empty, from the current one on; none references a table.
    /// - Parameter difference: what each entry is more than the one before.
    @inline(__always)
    func fill(_ count: Int, with first: PageTableEntry, difference: UInt) {
        PageTable(at: tables[level], directMap).fill(from: index, count: count, with: first, difference: difference)
        adjustCount(by: count)
    }

    /// The root has nobody above it to count for it.
    private func adjustCount(by difference: Int) {
        if level == topLevel { return }
        let parent = PageTable(at: tables[level &+ 1], directMap)
        let index = PageTable.index(of: address, atLevel: level &+ 1)
        let entry = parent[index]
        parent[index] = entry.countingEntries(entry.entriesInUse &+ difference)
    }

    /// Goes down to `target` level: puts empty tables from `tables` where there is nothing, splits a leaf or a demand entry
    /// that is there.
    /// `reserve` holds enough tables, by the plan.
    /// - Returns: true when a present leaf was split, whose translation is then stale.
    mutating func descend(to target: Int, taking reserve: inout TableList, user: Bool) -> Bool {
        var split = false
        while level > target {
            let old = entry
            let wasEmpty = old.isEmpty
            // Planned before: the reserve holds a table for each level that is missing.
            guard let frame = reserve.pop(directMap) else { preconditionFailure("fewer tables than planned") }
            if old.isPresent {
                split = true
                let table = PageTable(at: frame, directMap)
                let size = pageSize(ofLevel: level)
                let smaller = pageSize(ofLevel: level &- 1)
                for index in 0..<PageTable.entryCount {
                    table[index] = old.piece(index, ofSize: size, smaller: smaller)
                }
            } else if !wasEmpty {
                PageTable(at: frame, directMap)
                    .fill(from: 0, count: PageTable.entryCount, with: old, difference: 0)
            }
            let reference = PageTableEntry(
                table: frame, entriesInUse: wasEmpty ? 0 : PageTable.entryCount, user: user)
            let last = PageTable(at: tables[level], directMap).exchange(reference, at: index)
            if wasEmpty { adjustCount(by: 1) }
            if old.isPresent { note(last.rawValue & ~old.rawValue, in: PageTable(at: frame, directMap)) }
            level &-= 1
            tables[level] = frame
        }
        return split
    }

    /// Notes in all pieces of a leaf what the CPU has noted in it while it was cut.
    private func note(_ bits: UInt, in table: PageTable) {
        let notes = bits & (PageTableEntry.accessedBit | PageTableEntry.dirtyBit)
        if notes == 0 { return }
        for index in 0..<PageTable.entryCount { table.set(notes, at: index) }
    }

    /// Unlinks the tables on the path that have become empty, from the current level up, and moves them to `list`.
    /// - Returns: true when a table was unlinked.
    mutating func unlinkEmptyTables(into list: inout TableList) -> Bool {
        var unlinked = false
        while level < topLevel {
            let reference = entry(atLevel: level &+ 1)
            if reference.entriesInUse != 0 || reference.isPermanent { break }
            list.push(tables[level], directMap)
            level &+= 1
            write(.empty)
            unlinked = true
        }
        return unlinked
    }
}
