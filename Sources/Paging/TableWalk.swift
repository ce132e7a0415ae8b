import MemoryPrimitives

/// Leaves as a walk from the root finds them: neighbours in one table that differ only in the memory they map, which
/// follows on from each to the next.
struct FoundLeaves {
    /// Where the first one's page is.
    var address: UInt
    var level: Int
    /// The first one.
    var entry: PageTableEntry
    var count: Int
    /// What is left of the leaves' permissions after each level above them has taken away what it does not allow.
    var permissions: PagePermissions
    /// Reached through an alias' slot only: the original has been found, or will be, with other permissions.
    var isAliased: Bool
    /// Where an alias' slot shows the first one's page too, with the same permissions; it is not found again there.
    var alias: UInt?
}

/// A walk over everything below a root, in the order of addresses.
struct TableWalk {
    /// What lies behind an alias' slot is found once, except for leaves whose permissions differ there.
    enum Found {
        case table
        case leaves(FoundLeaves)
        /// A not-present entry that is not empty.
        case reserved(PageTableEntry, level: Int)
    }

    /// What the levels above say about a table.
    private struct Path {
        var permissions: PagePermissions
        var isAliased: Bool
        /// What to add to an address for its alias.
        var aliasDistance: UInt?
    }

    fileprivate static var all: PagePermissions { .read | .write | .execute | .user }

    let directMap: DirectMap

    init(_ directMap: DirectMap) { self.directMap = directMap }

    /// Calls `body` with everything below `root`, the root itself included as a table.
    /// - Complexity: O(tables).
    func visit(root: PhysicalAddress, _ body: (Found) -> Void) {
        body(.table)
        let level = PageTableCursor.topLevel
        let table = PageTable(at: root, directMap)
        let joined = JoinedSlots(in: table)
        var next = table.nextUsed(from: 0)
        while let index = next {
            next = table.nextUsed(from: index &+ 1)
            let entry = table[index]
            if index == joined?.alias { continue }
            if !entry.isPresent {
                body(.reserved(entry, level: level))
                continue
            }
            if !entry.isShared { body(.table) }
            let path = Path(
                permissions: entry.permissions().intersection(Self.all), isAliased: entry.isShared,
                aliasDistance: index == joined?.original ? joined?.distance : nil)
            visit(entry.tableAddress, level &- 1, JoinedSlots.address(of: index), path, body)
        }
    }

    private func visit(_ frame: PhysicalAddress, _ level: Int, _ base: UInt, _ path: Path, _ body: (Found) -> Void) {
        let table = PageTable(at: frame, directMap)
        var next = table.nextUsed(from: 0)
        while let index = next {
            let entry = table[index]
            var count = 1
            let address = base | (UInt(bitPattern: index) << PageTable.shift(ofLevel: level))
            if entry.referencesTable(atLevel: level) {
                var below = path
                below.permissions.formIntersection(entry.permissions())
                if entry.isShared { below.isAliased = true }
                if !below.isAliased { body(.table) }
                visit(entry.tableAddress, level &- 1, address, below, body)
            } else if entry.isPresent {
                let size = pageSize(ofLevel: level)
                count = table.equalLeaves(from: index, size: size)
                let taken = Self.all.subtracting(path.permissions)
                body(
                    .leaves(
                        FoundLeaves(
                            address: address, level: level, entry: entry, count: count,
                            permissions: entry.permissions(size: size).subtracting(taken), isAliased: path.isAliased,
                            alias: path.aliasDistance.map { address &+ $0 })))
            } else if !path.isAliased {
                body(.reserved(entry, level: level))
            }
            next = table.nextUsed(from: index &+ count)
        }
    }
}

/// Two entries of a top-level table that reference the same table and take away the same permissions, so that to walk
/// one of them is to know both.
private struct JoinedSlots {
    let original: Int
    let alias: Int

    /// The first entry that says it shares a table, if its original is beside it; nil otherwise.
    init?(in table: PageTable) {
        let alias = table.firstUsed { $0.isShared }
        guard let alias else { return nil }
        let shared = table[alias]
        let original = table.firstUsed { entry in
            entry.isPresent && !entry.isShared && entry.tableAddress == shared.tableAddress
                && entry.permissions().intersection(TableWalk.all) == shared.permissions().intersection(TableWalk.all)
        }
        guard let original else { return nil }
        self.original = original
        self.alias = alias
    }

    /// What to add to an address in the original's slot for the same byte in the alias'.
    var distance: UInt { Self.address(of: alias) &- Self.address(of: original) }

    /// The first address of a slot.
    static func address(of index: Int) -> UInt {
        let address = UInt(bitPattern: index) << PageTable.shift(ofLevel: PageTableCursor.topLevel)
        return index < 256 ? address : address | UInt.max << 48
    }
}
