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
    let features: PagingFeatures

    init(_ directMap: DirectMap, _ features: PagingFeatures) {
        self.directMap = directMap
        self.features = features
    }

    /// Calls `body` with everything below `root`, the root itself included as a table.
    /// - Complexity: O(tables).
    func visit(root: PhysicalAddress, _ body: (Found) -> Void) {
        body(.table)
        let joined = JoinedSlots(root, directMap, features)
        let path = Path(permissions: Self.all, isAliased: false, aliasDistance: nil)
        visit(root, features.topLevel, 0, path, joined, body)
    }

    private func visit(
        _ frame: PhysicalAddress, _ level: Int, _ base: UInt, _ path: Path, _ joined: JoinedSlots?,
        _ body: (Found) -> Void
    ) {
        let table = PageTable(at: frame, directMap)
        var next = table.nextUsed(from: 0)
        while let index = next {
            let entry = table[index]
            var count = 1
            let address = features.address(base, index, atLevel: level)
            if level == PageTableCursor.slotLevel && joined?.alias == address {
                // Found with the original.
            } else if entry.referencesTable(atLevel: level) {
                var below = path
                below.permissions.formIntersection(entry.permissions())
                if entry.isShared { below.isAliased = true }
                if level == PageTableCursor.slotLevel && joined?.original == address {
                    below.aliasDistance = joined?.distance
                }
                if !below.isAliased { body(.table) }
                visit(entry.tableAddress, level &- 1, address, below, joined, body)
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

/// Two slots of 512 GiB that reference the same table and take away the same permissions, so that to walk one of them
/// is to know both.
private struct JoinedSlots {
    /// The first address of each.
    let original: UInt
    let alias: UInt

    /// The first slot that says it shares a table, with its original if there is one; nil otherwise.
    init?(_ root: PhysicalAddress, _ directMap: DirectMap, _ features: PagingFeatures) {
        let shared = Self.first(root, directMap, features) { entry, _ in entry.isShared }
        guard let shared else { return nil }
        let original = Self.first(root, directMap, features) { entry, permissions in
            entry.isPresent && !entry.isShared && entry.tableAddress == shared.entry.tableAddress
                && permissions == shared.permissions
        }
        guard let original else { return nil }
        self.original = original.address
        self.alias = shared.address
    }

    /// What to add to an address in the original's slot for the same byte in the alias'.
    var distance: UInt { alias &- original }

    private struct Slot {
        var address: UInt
        var entry: PageTableEntry
        /// What the slot and the levels above it allow.
        var permissions: PagePermissions
    }

    /// The first slot in use that `matches`, of a root of either height.
    private static func first(
        _ root: PhysicalAddress, _ directMap: DirectMap, _ features: PagingFeatures,
        where matches: (PageTableEntry, PagePermissions) -> Bool
    ) -> Slot? {
        let table = PageTable(at: root, directMap)
        if !features.fiveLevels { return first(in: table, 0, TableWalk.all, features, where: matches) }
        var next = table.nextUsed(from: 0)
        while let index = next {
            let entry = table[index]
            if entry.isPresent {
                let base = features.address(0, index, atLevel: features.topLevel)
                let below = PageTable(at: entry.tableAddress, directMap)
                let allowed = entry.permissions().intersection(TableWalk.all)
                if let found = first(in: below, base, allowed, features, where: matches) { return found }
            }
            next = table.nextUsed(from: index &+ 1)
        }
        return nil
    }

    private static func first(
        in table: PageTable, _ base: UInt, _ allowed: PagePermissions, _ features: PagingFeatures,
        where matches: (PageTableEntry, PagePermissions) -> Bool
    ) -> Slot? {
        let index = table.firstUsed { matches($0, $0.permissions().intersection(allowed)) }
        guard let index else { return nil }
        let address = features.address(base, index, atLevel: PageTableCursor.slotLevel)
        return Slot(
            address: address, entry: table[index], permissions: table[index].permissions().intersection(allowed))
    }
}
