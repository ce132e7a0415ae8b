import MemoryPrimitives

/// Tables that stay: those that several roots or slots refer to.
extension PageTables {
    /// Makes the registered alias' slot refer to the original's tables, which are made where missing and never freed.
    ///
    /// From then on everything mapped in the original slot is mapped in the alias' slot too, with the same permissions.
    /// - Throws: `alreadyMapped` where the alias' slot is in use; `outOfTables`.
    /// - Precondition: an alias was given to `init`. - Complexity: O(1). Any context.
    public func shareTopLevelEntry(using source: inout some TableFrameSource & ~Copyable) throws(PagingError) {
        guard let alias else { preconditionFailure("no alias was registered") }
        let slot = PageTableCursor.slotLevel
        let state = lock.acquire()
        defer { lock.release(state) }
        var cursor = cursor
        cursor.seek(alias.alias.rawValue)
        if cursor.level < slot || !cursor.entry.isEmpty { throw .alreadyMapped }
        var missing = cursor.level &- slot
        cursor.seek(alias.original.rawValue)
        missing &+= max(0, cursor.level &- (slot &- 1))
        var reserve = TableList()
        if !reserve.fill(missing, from: &source, directMap) { throw .outOfTables }
        _ = cursor.descend(to: slot &- 1, taking: &reserve, user: alias.original.rawValue >> 63 == 0)
        for level in slot...features.topLevel { cursor.makePermanent(atLevel: level) }
        let original = cursor.entry(atLevel: slot)
        cursor.seek(alias.alias.rawValue)
        _ = cursor.descend(to: slot, taking: &reserve, user: alias.alias.rawValue >> 63 == 0)
        var reference = PageTableEntry(table: original.tableAddress, entriesInUse: 0, user: false)
        reference.rawValue |= PageTableEntry.permanentBit | PageTableEntry.sharedBit
        cursor.write(reference)
        if features.topLevel > slot { cursor.makePermanent(atLevel: features.topLevel) }
        // One is left where both slots turned out to need the same table.
        countTables(missing &- reserve.count)
        reserve.drain(into: &source, directMap)
    }

    /// Makes the tables just below the root for all of `range` and keeps them even when they are empty, so that other
    /// roots can refer to them.
    ///
    /// - Throws: `notCanonical`, `outOfTables`; nothing has changed then. - Complexity: O(entries of the root). Any context.
    public func makePermanent(
        _ range: VirtualRange, using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) {
        if range.isEmpty { return }
        let last = VirtualAddress(range.end.rawValue &- 1)
        guard
            features.isCanonical(range.start.rawValue) && features.isCanonical(last.rawValue)
                && (range.start.rawValue ^ last.rawValue) >> 63 == 0
        else {
            throw .notCanonical
        }
        let shift = PageTable.shift(ofLevel: features.topLevel)
        let state = lock.acquire()
        defer { lock.release(state) }
        try keepTopLevelTables(range.start.rawValue >> shift, last.rawValue >> shift, using: &source)
    }

    /// Marks the tables of the slots `first` to `last` permanent; makes those that are missing first, all or none. The
    /// lock is held.
    private func keepTopLevelTables(
        _ first: UInt, _ last: UInt, using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) {
        let table = PageTable(at: root, directMap)
        var missing = 0
        // The table's index is the slot's number without the upper bits of the address.
        for slot in first...last where table[Int(bitPattern: slot)].isEmpty { missing &+= 1 }
        var reserve = TableList()
        if !reserve.fill(missing, from: &source, directMap) { throw .outOfTables }
        countTables(missing)
        for slot in first...last {
            let index = Int(bitPattern: slot)
            if table[index].isEmpty, let frame = reserve.pop(directMap) {
                table[index] = PageTableEntry(table: frame, entriesInUse: 0, user: index & 511 < 256)
            }
            table[index].rawValue |= PageTableEntry.permanentBit
        }
    }
}
