import MemoryPrimitives

/// What a walk finds: an entry, and the pages it stands for.
public struct WalkedEntry: Equatable, Sendable {
    /// The first address that the entry stands for.
    public var address: VirtualAddress
    /// The bytes that it stands for: the page's size, or that of what is not mapped there.
    public var byteCount: UInt
    /// What is there; a page's physical address is that of its first byte.
    public var content: PageLookup
    /// What the CPU has noted about a page.
    public var usage: PageUsage
}

extension PageTables {
    /// Visits what is mapped from `first` to `last`, and the demand and guard entries, in the order of addresses. Both are
    /// addresses of bytes, so that the walk may end where the address space does. A page that either of them lies in
    /// is visited whole.
    ///
    /// - Parameters:
    ///   - first: any byte of what is visited first.
    ///   - last: any byte of what is visited last.
    ///   - visit: called with each entry that is not empty; false ends the walk. It runs with the lock held, and
    ///     must not call these tables.
    /// - Throws: `notCanonical` where either is not, where they lie in different halves, or where the first comes last.
    /// - Complexity: O(entries), with interrupts disabled; empty parts of the tree are skipped whole. Any context.
    public func walk(
        from first: VirtualAddress, through last: VirtualAddress, visiting visit: (WalkedEntry) -> Bool
    ) throws(PagingError) {
        guard features.isCanonical(first.rawValue), features.isCanonical(last.rawValue), first <= last,
            (first.rawValue ^ last.rawValue) >> 63 == 0
        else { throw .notCanonical }
        let state = lock.acquire()
        defer { lock.release(state) }
        var cursor = cursor
        var address = first.rawValue
        while true {
            cursor.seek(address)
            let byteCount = cursor.byteCount
            let start = address & ~(byteCount &- 1)
            let entry = cursor.entry
            if !entry.isEmpty, !entry.isRetired, !visit(walked(entry, cursor.level, start, byteCount)) { return }
            let (next, overflow) = start.addingReportingOverflow(byteCount)
            if overflow || next > last.rawValue { return }
            address = next
        }
    }

    /// The entry that stands for `virtual`; nil where it is empty. - Complexity: O(1). Any context.
    public func entry(around virtual: VirtualAddress) -> WalkedEntry? {
        if !features.isCanonical(virtual.rawValue) { return nil }
        let state = lock.acquire()
        defer { lock.release(state) }
        var cursor = cursor
        cursor.seek(virtual.rawValue)
        if cursor.entry.isEmpty { return nil }
        let byteCount = cursor.byteCount
        return walked(cursor.entry, cursor.level, virtual.rawValue & ~(byteCount &- 1), byteCount)
    }

    private func walked(_ entry: PageTableEntry, _ level: Int, _ start: UInt, _ byteCount: UInt) -> WalkedEntry {
        var result = WalkedEntry(
            address: VirtualAddress(start), byteCount: byteCount, content: .guardPage, usage: .none)
        if entry.isPresent {
            let size = pageSize(ofLevel: level)
            result.content = .mapped(
                Translation(
                    physical: entry.pageAddress(size: size), size: size, permissions: entry.permissions(size: size)))
            result.usage = PageUsage(entry)
        } else if entry.isDemand || entry.isDueStackPage {
            result.content = .demand(entry.permissions())
        }
        return result
    }
}
