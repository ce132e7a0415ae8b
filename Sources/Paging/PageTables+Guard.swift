import MemoryPrimitives

/// Single pages that come and go where `reserveGuard` has made the tables: without memory, and so without failing.
///
///     guard --reveal--> present --conceal--> guard
///
/// Any context; O(1).
extension PageTables {
    /// Makes the guard entry at `virtual` a 4 KiB page.
    ///
    /// Nothing is flushed: a not-present entry is never cached.
    /// - Parameters:
    ///   - virtual: the page's address.
    ///   - frame: the memory's address, a multiple of 4096 that the CPU can address.
    ///   - permissions: what the page is to allow.
    /// - Returns: false, with nothing changed, where there is no guard entry.
    public func reveal(_ virtual: VirtualAddress, frame: PhysicalAddress, permissions: PagePermissions) -> Bool {
        guard features.isCanonical(virtual.rawValue), virtual.isAligned(to: PageSize.byteCount) else { return false }
        return lock.withLock {
            var cursor = cursor
            cursor.seek(virtual.rawValue)
            guard cursor.entry.isGuard else { return false }
            cursor.write(
                PageTableEntry(leaf: frame, size: .size4KiB, permissions: permissions, features: features))
            return true
        }
    }

    /// Makes the 4 KiB page at `virtual` a guard entry. On return no CPU reaches the memory through it any more.
    ///
    /// - Parameter virtual: the page's address, outside the slots that share tables.
    /// - Returns: false, with nothing changed, where there is no such page.
    public func conceal(_ virtual: VirtualAddress) -> Bool {
        guard features.isCanonical(virtual.rawValue), virtual.isAligned(to: PageSize.byteCount) else { return false }
        let isConcealed = lock.withLock {
            var cursor = cursor
            cursor.seek(virtual.rawValue)
            guard cursor.level == 0, cursor.entry.isPresent, !cursor.isInSharedSubtree else { return false }
            cursor.write(.guardPage)
            return true
        }
        if isConcealed { P.flushPage(virtual) }
        return isConcealed
    }
}
