import MemoryPrimitives
import Paging

/// What `setMemory` does to pages. Each of them changes one permission and leaves the others.
public enum MemoryChange: Sendable {
    /// Linux's `set_memory_ro`.
    case readOnly
    /// Linux's `set_memory_rw`.
    case writable
    /// Linux's `set_memory_x`.
    case executable
    /// Linux's `set_memory_nx`.
    case notExecutable

    /// What it adds, and what it removes.
    var permissions: (adding: PagePermissions, removing: PagePermissions) {
        switch self {
        case .readOnly: (.none, .write)
        case .writable: (.write, .none)
        case .executable: (.execute, .none)
        case .notExecutable: (.none, .execute)
        }
    }
}

/// Permissions of memory that is mapped already. Any context.
extension KernelMemory {
    /// Makes pages read-only, writable, executable or not executable, and what the direct map shows of them with them: no
    /// alias allows a write that the pages do not. The direct map and the object alias are never executable.
    ///
    /// Large pages are split where a part changes.
    /// - Parameter range: whole 4 KiB pages, each mapped, or due at its first touch.
    /// - Throws: `writableAndExecutable` where a page would be both, `notMapped`, `misaligned`, `notCanonical`,
    ///   `sharedSubtree`, `outOfTables`. Nothing has changed then.
    /// - Complexity: O(pages).
    public func setMemory(_ range: VirtualRange, _ change: MemoryChange) throws(PagingError) {
        if range.isEmpty { return }
        var source = BuddyTableSource(frames: frames)
        let (adding, removing) = change.permissions
        let changesWrites = adding.contains(.write) || removing.contains(.write)
        // The alias' pages are made small enough first, which changes nothing, because that alone can fail.
        if changesWrites { try adjustDirectMap(of: range, .none, .none, &source) }
        try pageTables.value.adjustRange(range, adding: adding, removing: removing, using: &source)
        if changesWrites { try adjustDirectMap(of: range, adding, removing, &source) }
    }

    /// Makes what bring-up alone writes of the image's data read-only, the direct map's pages of it too.
    /// - Throws: as `setMemory`. - Complexity: O(pages). Once, at the end of bring-up.
    public func seal() throws(PagingError) {
        if let sealed = image.value.sealed { try setMemory(sealed, .readOnly) }
    }

    /// Changes the direct map's pages of the memory that `range` is mapped to.
    private func adjustDirectMap(
        of range: VirtualRange, _ adding: PagePermissions, _ removing: PagePermissions,
        _ source: inout BuddyTableSource<P>
    ) throws(PagingError) {
        var address = range.start
        while address < range.end {
            var byteCount = PageSize.byteCount
            if case .mapped(let page) = pageTables.value.lookup(address) {
                byteCount = page.size.byteCount &- (address.rawValue & (page.size.byteCount &- 1))
                byteCount = min(byteCount, range.end.distance(from: address))
                let alias = layout.directMap.start + page.physical.rawValue
                // Devices are not in the direct map; a page of the direct map itself is changed already.
                if alias != address, pageTables.value.translate(alias)?.physical == page.physical {
                    try pageTables.value.adjustRange(
                        VirtualRange(alias, alias + byteCount), adding: adding, removing: removing, using: &source)
                }
            }
            address = address + byteCount
        }
    }
}
