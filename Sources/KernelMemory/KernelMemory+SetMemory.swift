import MemoryPrimitives
import Paging
import VirtualMemory

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
    /// alias allows a write that the pages do not, and none to what is executable. The direct map and the object alias are
    /// never executable.
    ///
    /// Large pages are split where a part changes. `vfree` makes what the direct map shows of its frames writable again;
    /// who gives back memory got in another way does so before.
    /// - Parameters:
    ///   - range: whole 4 KiB pages, each mapped, outside the direct map. A page that is due at its first touch is
    ///     none yet: see `populate`.
    ///   - change: what they are to become.
    /// - Throws: `writableAndExecutable` where a page would be both, `notMapped`, `misaligned`, `notCanonical`,
    ///   `sharedSubtree` for the direct map and its alias, which show others' pages, `outOfTables`. Nothing has changed then.
    /// - Complexity: O(pages).
    public func setMemory(_ range: VirtualRange, _ change: MemoryChange) throws(PagingError) {
        if range.isEmpty { return }
        try validate(range)
        var source = BuddyTableSource(frames: frames)
        let (adding, removing) = change.permissions
        // The alias' pages are made small enough first, which changes nothing, because that alone can fail.
        try adjustDirectMap(of: range, .none, .none, &source)
        vmalloc.value.notePermissionChange(in: range)
        if change == .executable { try makeReadOnlyInDirectMap(range, &source) }
        try pageTables.value.adjustRange(range, adding: adding, removing: removing, using: &source)
        switch change {
        case .executable: break
        case .readOnly: try adjustDirectMap(of: range, .none, .write, &source)
        case .writable: try adjustDirectMap(of: range, .write, .none, &source)
        case .notExecutable: break
        }
    }

    /// What is to be executed may be written nowhere before that. All that can fail is done first: a page that is writable
    /// itself is refused, and the pages are cut.
    private func makeReadOnlyInDirectMap(
        _ range: VirtualRange, _ source: inout BuddyTableSource<P>
    ) throws(PagingError) {
        try pageTables.value.adjustRange(range, adding: .none, removing: .none, using: &source)
        var page = range.start
        while page < range.end {
            guard case .mapped(let found) = pageTables.value.lookup(page) else { throw .notMapped }
            if found.permissions.contains(.write) { throw .writableAndExecutable }
            page = page + PageSize.byteCount
        }
        try adjustDirectMap(of: range, .none, .write, &source)
    }

    private func validate(_ range: VirtualRange) throws(PagingError) {
        let pages = range.start.rawValue | range.end.rawValue
        if pages & (PageSize.byteCount &- 1) != 0 { throw .misaligned }
        let features = pageTables.value.features
        let last = range.end.rawValue &- 1
        if !features.isCanonical(range.start.rawValue) || !features.isCanonical(last) { throw .notCanonical }
        if (range.start.rawValue ^ last) >> 63 != 0 { throw .notCanonical }
        if layout.directMap.contains(range.start) || layout.directMap.contains(VirtualAddress(last)) {
            throw .sharedSubtree
        }
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
            guard case .mapped(let page) = pageTables.value.lookup(address) else { throw .notMapped }
            var byteCount = page.size.byteCount &- (address.rawValue & (page.size.byteCount &- 1))
            byteCount = min(byteCount, range.end.distance(from: address))
            let alias = VirtualAddress(layout.directMap.start.rawValue &+ page.physical.rawValue)
            // Devices are not in the direct map.
            if layout.directMap.contains(alias), pageTables.value.translate(alias)?.physical == page.physical {
                try pageTables.value.adjustRange(
                    VirtualRange(alias, alias + byteCount), adding: adding, removing: removing, using: &source)
            }
            address = address + byteCount
        }
    }
}
