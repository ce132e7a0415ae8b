import MemoryPrimitives

/// A leaf as a walk from the root finds it.
struct FoundLeaf {
    var address: UInt
    var level: Int
    var entry: PageTableEntry
    /// What is left of the leaf's permissions after each level above it has taken away what it does not allow.
    var permissions: PagePermissions
    /// Reached through an alias' slot.
    var isAliased: Bool
}

/// A walk over everything below a root, in the order of addresses.
struct TableWalk {
    /// What lies behind an alias' slot is found once, except for leaves, whose permissions there may differ.
    enum Found {
        case table
        case leaf(FoundLeaf)
        /// A not-present entry that is not empty.
        case reserved(PageTableEntry, level: Int)
    }

    /// What the levels above leave.
    private struct Inherited {
        var permissions: PagePermissions
        var isAliased: Bool
    }

    let directMap: DirectMap

    init(_ directMap: DirectMap) { self.directMap = directMap }

    /// Calls `body` with everything below `root`, the root itself included as a table.
    /// - Complexity: O(tables).
    func visit(root: PhysicalAddress, _ body: (Found) -> Void) {
        body(.table)
        let all: PagePermissions = .read | .write | .execute | .user
        visit(root, PageTableCursor.topLevel, 0, Inherited(permissions: all, isAliased: false), body)
    }

    private func visit(
        _ frame: PhysicalAddress, _ level: Int, _ base: UInt, _ inherited: Inherited, _ body: (Found) -> Void
    ) {
        let table = PageTable(at: frame, directMap)
        for index in 0..<PageTable.entryCount {
            let entry = table[index]
            if entry.isEmpty { continue }
            var address = base | (UInt(bitPattern: index) << PageTable.shift(ofLevel: level))
            if level == PageTableCursor.topLevel && index >= 256 { address |= UInt.max << 48 }
            if entry.referencesTable(atLevel: level) {
                let own = entry.permissions().intersection(inherited.permissions)
                let isAliased = inherited.isAliased || entry.isShared
                if !isAliased { body(.table) }
                visit(
                    entry.tableAddress, level &- 1, address, Inherited(permissions: own, isAliased: isAliased), body)
            } else if entry.isPresent {
                let own = entry.permissions(size: pageSize(ofLevel: level))
                let taken = (.read | .write | .execute | .user as PagePermissions).subtracting(inherited.permissions)
                body(
                    .leaf(
                        FoundLeaf(
                            address: address, level: level, entry: entry, permissions: own.subtracting(taken),
                            isAliased: inherited.isAliased)))
            } else if !inherited.isAliased {
                body(.reserved(entry, level: level))
            }
        }
    }
}
