import MemoryPrimitives

/// What a walk over everything below a root found: how much is mapped, and whether anything is both writable and
/// executable.
///
/// It reads the tables as the CPU does and takes nobody's word for them: a leaf's permissions are what all levels of
/// its path together allow. So it judges tables that others built, too.
public struct PermissionAudit: Equatable, Sendable {
    /// Tables, the root included; a shared one once.
    public private(set) var tables: UInt = 0
    public private(set) var pages4KiB: UInt = 0
    public private(set) var pages2MiB: UInt = 0
    public private(set) var pages1GiB: UInt = 0
    /// Pages of any size that are reached a second time through an alias; not in the counts above.
    public private(set) var aliasedPages: UInt = 0
    public private(set) var demandEntries: UInt = 0
    public private(set) var guardEntries: UInt = 0
    public private(set) var writablePages: UInt = 0
    public private(set) var executablePages: UInt = 0
    public private(set) var userPages: UInt = 0
    /// Pages, aliased ones included, whose code can be changed while it runs: there should be none.
    public private(set) var writableExecutablePages: UInt = 0
    public private(set) var firstWritableExecutable: VirtualAddress?
    /// Entries with bits that no entry may have: misaligned leaves and not-present entries of no known kind.
    public private(set) var badEntries: UInt = 0

    /// Walks all tables below `root`, which nobody changes meanwhile.
    /// - Complexity: O(tables). Any context.
    public init(root: PhysicalAddress, directMap: DirectMap) {
        var result = PermissionAudit()
        TableWalk(directMap).visit(root: root) { found in
            switch found {
            case .table: result.tables &+= 1
            case .leaf(let leaf): result.count(leaf)
            case .reserved(let entry, let level): result.count(entry, level)
            }
        }
        self = result
    }

    private init() {}

    /// No page is both writable and executable, and no entry is malformed.
    public var passes: Bool { writableExecutablePages == 0 && badEntries == 0 }

    /// Bytes mapped, those of the alias not counted again.
    public var mappedByteCount: UInt { (pages4KiB << 12) &+ (pages2MiB << 21) &+ (pages1GiB << 30) }

    private mutating func count(_ leaf: FoundLeaf) {
        let size = pageSize(ofLevel: leaf.level)
        if leaf.permissions.isWritableAndExecutable {
            if firstWritableExecutable == nil { firstWritableExecutable = VirtualAddress(leaf.address) }
            writableExecutablePages &+= 1
        }
        if leaf.isAliased {
            aliasedPages &+= 1
            return
        }
        if leaf.entry.hasMisalignedAddress(size: size) { badEntries &+= 1 }
        if leaf.permissions.contains(.write) { writablePages &+= 1 }
        if leaf.permissions.contains(.execute) { executablePages &+= 1 }
        if leaf.permissions.contains(.user) { userPages &+= 1 }
        switch size {
        case .size4KiB: pages4KiB &+= 1
        case .size2MiB: pages2MiB &+= 1
        case .size1GiB: pages1GiB &+= 1
        }
    }

    private mutating func count(_ entry: PageTableEntry, _ level: Int) {
        if level == 0 && entry.isDemand {
            demandEntries &+= 1
        } else if level == 0 && entry.isGuard {
            guardEntries &+= 1
        } else {
            badEntries &+= 1
        }
    }
}

/// Neighbouring pages of one size with the same permissions.
public struct LeafRun: Equatable, Sendable {
    public var start: VirtualAddress
    /// The last byte, because a run may end where the address space does.
    public var last: VirtualAddress
    public var size: PageSize
    public var permissions: PagePermissions
    /// Where the first page leads.
    public var physical: PhysicalAddress
    /// True when the following pages follow each other in physical memory too.
    public var isContiguous: Bool

    /// Adds `next` where it continues the run.
    fileprivate mutating func extend(by next: LeafRun) -> Bool {
        if next.start.rawValue != last.rawValue &+ 1 || next.size != size || next.permissions != permissions {
            return false
        }
        if next.physical.rawValue &- physical.rawValue != next.start.rawValue &- start.rawValue { isContiguous = false }
        last = next.last
        return true
    }
}

extension PermissionAudit {
    /// Calls `body` with the pages below `root` in the order of their addresses, equal neighbours as one run: the map as
    /// a person wants to read it. Nobody changes the tables meanwhile.
    /// - Complexity: O(tables). Any context.
    public static func forEachLeafRun(root: PhysicalAddress, directMap: DirectMap, _ body: (LeafRun) -> Void) {
        var open: LeafRun?
        TableWalk(directMap).visit(root: root) { found in
            guard case .leaf(let leaf) = found else { return }
            let size = pageSize(ofLevel: leaf.level)
            let next = LeafRun(
                start: VirtualAddress(leaf.address), last: VirtualAddress(leaf.address &+ (size.byteCount &- 1)),
                size: size, permissions: leaf.permissions, physical: leaf.entry.pageAddress(size: size),
                isContiguous: true)
            if open?.extend(by: next) == true { return }
            if let open { body(open) }
            open = next
        }
        if let open { body(open) }
    }
}

/// The audit of these tables. The lock is held meanwhile: what runs in `body` must not call these tables.
extension PageTables {
    /// - Complexity: O(tables), with interrupts disabled.
    public func audit() -> PermissionAudit {
        lock.withLock { PermissionAudit(root: root, directMap: directMap) }
    }

    /// - Complexity: O(tables), with interrupts disabled.
    public func forEachLeafRun(_ body: (LeafRun) -> Void) {
        lock.withLock { PermissionAudit.forEachLeafRun(root: root, directMap: directMap, body) }
    }
}
