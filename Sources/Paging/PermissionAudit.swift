import MemoryPrimitives

/// What a walk over everything below a root found: how much is mapped, and whether anything is both writable and
/// executable.
///
/// It reads the tables as the CPU does and takes nobody's word for them: a leaf's permissions are what all levels of
/// its path together allow. So it judges tables that others built, too.
public struct PermissionAudit: Equatable, Sendable {
    /// Tables, the root included; a shared one once.
    public private(set) var tables: UInt = 0
    /// Pages of 4 KiB.
    public private(set) var pages4KiB: UInt = 0
    /// Pages of 2 MiB.
    public private(set) var pages2MiB: UInt = 0
    /// Pages of 1 GiB.
    public private(set) var pages1GiB: UInt = 0
    /// Pages of any size that are reached a second time through an alias; not in the counts above.
    public private(set) var aliasedPages: UInt = 0
    /// Entries for pages that are due at their first touch.
    public private(set) var demandEntries: UInt = 0
    /// Entries of guard pages.
    public private(set) var guardEntries: UInt = 0
    /// Entries that keep the frame of a page that was taken away.
    public private(set) var retiredEntries: UInt = 0
    /// Pages of any size that may be written.
    public private(set) var writablePages: UInt = 0
    /// Pages of any size whose code may run.
    public private(set) var executablePages: UInt = 0
    /// Pages of any size that user mode reaches.
    public private(set) var userPages: UInt = 0
    /// Pages, aliased ones included, whose code can be changed while it runs: there should be none.
    public private(set) var writableExecutablePages: UInt = 0
    /// The first page of `writableExecutablePages`; nil where there is none.
    public private(set) var firstWritableExecutable: VirtualAddress?
    /// Entries with bits that no entry may have: misaligned leaves and not-present entries of no known kind.
    public private(set) var badEntries: UInt = 0

    /// Walks all tables below `root`, which nobody changes meanwhile, and lists what they map on the way.
    /// - Parameters:
    ///   - root: the top-level table.
    ///   - directMap: reaches every table.
    ///   - features: what the CPU that walks them has; only whether there are five levels counts.
    ///   - list: called with the pages in the order of their addresses, equal neighbours as one run: the map as
    ///   a person wants to read it.
    /// - Complexity: O(tables). Any context.
    public init(
        root: PhysicalAddress, directMap: DirectMap, features: PagingFeatures = .all,
        listing list: (LeafRun) -> Void = { _ in }
    ) {
        var result = PermissionAudit()
        var open: LeafRun?
        TableWalk(directMap, features).visit(root: root) { found in
            switch found {
            case .table: result.tables &+= 1
            case .reserved(let entry, let level): result.count(entry, level)
            case .leaves(let leaves):
                result.count(leaves)
                let next = LeafRun(leaves)
                if open?.extend(by: next) == true { return }
                if let open { list(open) }
                open = next
            }
        }
        if let open { list(open) }
        self = result
    }

    private init() {}

    /// No page is both writable and executable, and no entry is malformed.
    public var passes: Bool { writableExecutablePages == 0 && badEntries == 0 }

    /// Bytes mapped, those of the alias not counted again.
    public var mappedByteCount: UInt { (pages4KiB << 12) &+ (pages2MiB << 21) &+ (pages1GiB << 30) }

    private mutating func count(_ leaves: FoundLeaves) {
        let size = pageSize(ofLevel: leaves.level)
        let pages = UInt(bitPattern: leaves.count)
        let found = leaves.alias == nil ? pages : 2 &* pages
        if leaves.permissions.isWritableAndExecutable {
            let lowest = VirtualAddress(min(leaves.address, leaves.alias ?? leaves.address))
            firstWritableExecutable = min(lowest, firstWritableExecutable ?? lowest)
            writableExecutablePages &+= found
        }
        aliasedPages &+= leaves.isAliased ? found : found &- pages
        if leaves.isAliased { return }
        // What is wrong with one of equal leaves is wrong with each.
        if leaves.entry.hasMisalignedAddress(size: size) { badEntries &+= pages }
        if leaves.permissions.contains(.write) { writablePages &+= pages }
        if leaves.permissions.contains(.execute) { executablePages &+= pages }
        if leaves.permissions.contains(.user) { userPages &+= pages }
        switch size {
        case .size4KiB: pages4KiB &+= pages
        case .size2MiB: pages2MiB &+= pages
        case .size1GiB: pages1GiB &+= pages
        }
    }

    private mutating func count(_ entry: PageTableEntry, _ level: Int) {
        if level <= 2 && entry.isDemand || level == 0 && entry.isDueStackPage {
            demandEntries &+= 1
        } else if level == 0 && entry.isGuard {
            guardEntries &+= 1
        } else if level == 0 && entry.isRetired {
            retiredEntries &+= 1
        } else {
            badEntries &+= 1
        }
    }
}

/// The audit of these tables. The lock is held meanwhile: what runs in `list` must not call these tables.
extension PageTables {
    /// The audit of these tables, while nobody changes them.
    /// - Parameter list: called with each run of equal pages, in the order of addresses.
    /// - Complexity: O(tables), with interrupts disabled.
    public func audit(listing list: (LeafRun) -> Void = { _ in }) -> PermissionAudit {
        lock.withLock { PermissionAudit(root: root, directMap: directMap, features: features, listing: list) }
    }

    /// Calls `body` with each run of equal pages, in the order of addresses.
    /// - Complexity: O(tables), with interrupts disabled.
    public func forEachLeafRun(_ body: (LeafRun) -> Void) { _ = audit(listing: body) }
}
