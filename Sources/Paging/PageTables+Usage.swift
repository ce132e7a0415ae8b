import MemoryPrimitives

/// What the CPU notes down about a page: that it was used, and that it was written to.
///
/// Entries are made with both notes set, so that the CPU has nothing to write. Whoever wants to know clears them first.
public struct PageUsage: FlagSet, Hashable, Sendable {
    /// The notes as bits.
    public var rawValue: UInt8

    /// The notes of these bits.
    @inline(__always)
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Read, written or executed since the note was cleared.
    public static var accessed: PageUsage { PageUsage(rawValue: 1 << 0) }
    /// Written to since the note was cleared.
    public static var dirty: PageUsage { PageUsage(rawValue: 1 << 1) }

    /// The bits of a leaf.
    var entryBits: UInt {
        (contains(.accessed) ? PageTableEntry.accessedBit : 0) | (contains(.dirty) ? PageTableEntry.dirtyBit : 0)
    }

    /// The notes in a leaf.
    init(_ entry: PageTableEntry) {
        self.init(rawValue: (entry.isAccessed ? 1 : 0) | (entry.isDirty ? 2 : 0))
    }
}

/// Accessed and dirty bits. Any context.
extension PageTables {
    /// The notes of the page at `virtual`, any byte of it; nil where no page is. - Complexity: O(1).
    public func usage(of virtual: VirtualAddress) -> PageUsage? {
        if !features.isCanonical(virtual.rawValue) { return nil }
        return lock.withLock {
            var cursor = cursor
            cursor.seek(virtual.rawValue)
            return cursor.entry.isPresent ? PageUsage(cursor.entry) : nil
        }
    }

    /// Clears `notes` of all pages of `range`. On return each CPU notes the next use down again.
    ///
    /// - Parameters:
    ///   - notes: which of them.
    ///   - range: whole 4 KiB pages, which may have gaps. A larger page that it begins or ends in is cleared too.
    ///   - visit: called with each page that had any of them, and those that it had. It runs with the lock held, and must
    ///     not call these tables.
    /// - Throws: `misaligned`, `notCanonical`, `sharedSubtree`; nothing has changed then.
    /// - Complexity: O(pages), with interrupts disabled; empty parts of the tree are skipped whole.
    public func clearUsage(
        _ notes: PageUsage, in range: VirtualRange,
        visiting visit: (VirtualAddress, PageSize, PageUsage) -> Void = { _, _, _ in }
    ) throws(PagingError) {
        if range.isEmpty { return }
        let change = RangeChange(operation: .unmap, first: range.start.rawValue, byteCount: range.byteCount)
        try change.validate(features)
        try checkSharing(change.first, change.first &+ (change.byteCount &- 1))
        var flush = FlushBatch<P>()
        let state = lock.acquire()
        clearUsage(notes, change, &flush, visit)
        lock.release(state)
        flush.flush(alias)
    }

    /// The lock is held.
    @inline(never)
    private func clearUsage(
        _ notes: PageUsage, _ change: RangeChange, _ flush: inout FlushBatch<P>,
        _ visit: (VirtualAddress, PageSize, PageUsage) -> Void
    ) {
        var cursor = cursor
        var offset: UInt = 0
        while offset < change.byteCount {
            cursor.seek(change.first &+ offset)
            let covered = cursor.byteCount
            let start = cursor.address & ~(covered &- 1)
            if cursor.entry.isPresent {
                let found = PageUsage(cursor.clear(notes.entryBits)).intersection(notes)
                if !found.isEmpty {
                    flush.add(start)
                    visit(VirtualAddress(start), pageSize(ofLevel: cursor.level), found)
                }
            }
            offset = min(change.byteCount, start &- change.first &+ covered)
        }
    }
}
