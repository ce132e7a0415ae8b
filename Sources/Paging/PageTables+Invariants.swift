import MemoryPrimitives

/// Walks all tables and names the first thing that is wrong.
///
/// A table that is referenced twice is found by a mark, which the CPU ignores, in each table's first entry. The marks
/// are there only while the lock is held.
extension PageTables {
    /// Looks whether the tables are a tree, and each counts its entries right.
    /// - Throws: the first rule that does not hold; `location` is the address that the entry stands for, or for counts
    ///   of tables the root.
    /// - Complexity: O(tables), with interrupts disabled. Any context.
    public func checkInvariants() throws(InvariantViolation) {
        let state = lock.acquire()
        defer { lock.release(state) }
        var found = 0
        defer { clearMarks(root, features.topLevel) }
        _ = try check(root, features.topLevel, 0, &found)
        // The root is not among those that are counted.
        if found != tableCount + 1 {
            throw InvariantViolation(
                "the number of tables is counted", at: root.rawValue, found: UInt(found), expected: UInt(tableCount + 1)
            )
        }
    }

    /// - Returns: the table's entries in use.
    private func check(
        _ frame: PhysicalAddress, _ level: Int, _ base: UInt, _ found: inout Int
    ) throws(InvariantViolation) -> Int {
        let table = PageTable(at: frame, directMap)
        if table[0].rawValue & PageTableEntry.visitedBit != 0 {
            throw InvariantViolation("a table is referenced once", at: base, found: frame.rawValue)
        }
        // In one step, because a stack may grow meanwhile.
        table.set(PageTableEntry.visitedBit, at: 0)
        found += 1
        var used = 0
        for index in 0..<PageTable.entryCount {
            var entry = table[index]
            if index == 0 { entry.rawValue &= ~PageTableEntry.visitedBit }
            if entry.isEmpty { continue }
            used += 1
            var address = base | (UInt(index) << PageTable.shift(ofLevel: level))
            if level == features.topLevel && index >= 256 { address |= UInt.max << features.addressBits }
            if entry.referencesTable(atLevel: level) {
                try checkReference(entry, level, address, &found)
            } else if entry.isPresent {
                try checkLeaf(entry, pageSize(ofLevel: level), address)
            } else if !(entry.isDemand && level <= 2
                || (entry.isGuard || entry.isRetired || entry.isDueStackPage) && level == 0)
            {
                throw InvariantViolation("a not-present entry is of a known kind", at: address, found: entry.rawValue)
            }
        }
        return used
    }

    private func checkReference(
        _ entry: PageTableEntry, _ level: Int, _ address: UInt, _ found: inout Int
    ) throws(InvariantViolation) {
        if entry.isShared {
            guard let alias, alias.alias.rawValue == address, level == PageTableCursor.slotLevel else {
                throw InvariantViolation("only the registered alias shares tables", at: address, found: entry.rawValue)
            }
            var cursor = cursor
            cursor.seek(alias.original.rawValue)
            let original =
                cursor.level <= PageTableCursor.slotLevel
                ? cursor.entry(atLevel: PageTableCursor.slotLevel) : PageTableEntry.empty
            if original.tableAddress != entry.tableAddress || !original.isPermanent {
                throw InvariantViolation(
                    "the alias refers to the original's table", at: address, found: entry.rawValue,
                    expected: original.rawValue)
            }
            return
        }
        let used = try check(entry.tableAddress, level - 1, address, &found)
        if used != entry.entriesInUse {
            throw InvariantViolation(
                "the entries in use are counted", at: address, found: UInt(entry.entriesInUse), expected: UInt(used))
        }
        if used == 0 && !entry.isPermanent {
            throw InvariantViolation("an empty table is not kept", at: address, found: entry.rawValue)
        }
    }

    private func checkLeaf(
        _ entry: PageTableEntry, _ size: PageSize, _ address: UInt
    ) throws(InvariantViolation) {
        if entry.hasMisalignedAddress(size: size) {
            throw InvariantViolation("a page's memory is aligned to its size", at: address, found: entry.rawValue)
        }
        if entry.pageAddress(size: size).rawValue >> features.physicalAddressBits != 0 {
            throw InvariantViolation("a page's memory is within the bus", at: address, found: entry.rawValue)
        }
        if entry.entriesInUse != 0 {
            throw InvariantViolation("a leaf's bits 52 to 61 are clear", at: address, found: entry.rawValue)
        }
        if size == .size1GiB && !features.gigabytePages || !features.noExecute && !entry.isExecutable
            || !features.globalPages && entry.isGlobal
        {
            throw InvariantViolation("a leaf uses what the CPU has", at: address, found: entry.rawValue)
        }
    }

    /// Descends only where a mark is, so that it ends even in tables that refer to each other.
    private func clearMarks(_ frame: PhysicalAddress, _ level: Int) {
        let table = PageTable(at: frame, directMap)
        if table[0].rawValue & PageTableEntry.visitedBit == 0 { return }
        _ = table.clear(PageTableEntry.visitedBit, at: 0)
        for index in 0..<PageTable.entryCount {
            let entry = table[index]
            if entry.referencesTable(atLevel: level) && !entry.isShared { clearMarks(entry.tableAddress, level &- 1) }
        }
    }
}
