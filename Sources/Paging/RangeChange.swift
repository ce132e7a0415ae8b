import MemoryPrimitives

/// One change of the tables over a range, in the form that planning and committing share.
///
/// A change is made in steps, each of neighbouring entries in one table. `plan` walks the steps without writing, so that
/// every refusal comes before the first write; it counts the tables that are missing. They are taken from the source, all or
/// none. `commit` walks the same steps and cannot fail. Nothing ever has to be undone.
struct RangeChange {
    enum Operation {
        /// Map to physical memory from here on.
        case map(PhysicalAddress, PagePermissions)
        /// Fill with a not-present entry, at no higher a level than this.
        case reserve(PageTableEntry, largest: PageSize)
        case unmap
        case protect(PagePermissions)
        /// Take some permissions away and add others; the rest stays as it is, page by page.
        case adjust(adding: PagePermissions, removing: PagePermissions)
    }

    /// What is changed at once: `count` neighbouring entries in one table at `level`.
    struct Step {
        var level: Int
        var count: Int

        /// The bytes that the step's entries stand for.
        var byteCount: UInt { UInt(bitPattern: count) << PageTable.shift(ofLevel: level) }
    }

    var operation: Operation
    var first: UInt
    /// Not zero; a multiple of 4096. The range may end where the address space does.
    var byteCount: UInt
    /// The only page size wanted, by its level; nil for the largest that fit.
    var exactLevel: Int?
    /// Whether a larger page that lies across an edge may be split.
    var splitting = false

    /// Checks everything that does not depend on the tables.
    func validate(_ features: PagingFeatures) throws(PagingError) {
        let pageSize = exactLevel.map { PageTable.byteCount(ofLevel: $0) } ?? PageSize.byteCount
        var bits = first | byteCount
        if case .map(let physical, _) = operation { bits |= physical.rawValue }
        if bits & (pageSize &- 1) != 0 { throw .misaligned }
        if exactLevel == 2 && !features.gigabytePages, case .map = operation { throw .unsupportedPageSize }
        let (last, overflow) = first.addingReportingOverflow(byteCount &- 1)
        if overflow || !features.isCanonical(first) || !features.isCanonical(last) { throw .notCanonical }
        if (first ^ last) >> 63 != 0 { throw .notCanonical }
        let isUser: Bool
        switch operation {
        case .map(let physical, let permissions):
            let (end, overflow) = physical.rawValue.addingReportingOverflow(byteCount)
            if overflow || end > 1 << features.physicalAddressBits { throw .beyondPhysicalLimit }
            isUser = permissions.contains(.user)
        case .reserve(let entry, _): isUser = entry.isUser
        case .protect(let permissions): isUser = permissions.contains(.user)
        case .unmap: isUser = false
        case .adjust(let adding, _): isUser = adding.contains(.user)
        }
        if isUser && first >> 63 != 0 { throw .userPageInKernelHalf }
    }

    /// The entries that the next step changes, or why it cannot be made.
    ///
    /// Planning and committing choose alike: a table that an earlier step of the same change made covers this step
    /// only where this step's page would not have filled it.
    @inline(__always)
    func step(
        at offset: UInt, _ cursor: PageTableCursor, _ features: PagingFeatures
    ) throws(PagingError) -> Step {
        let entry = cursor.entry
        let remaining = byteCount &- offset
        switch operation {
        case .map(let physical, _):
            if !entry.isEmpty { throw .alreadyMapped }
            if let exactLevel {
                if exactLevel > cursor.level { throw .alreadyMapped }
                return Step(level: exactLevel, count: 1)
            }
            let largest = features.gigabytePages ? 2 : 1
            let alignment = (first &+ offset) | (physical.rawValue &+ offset)
            return emptyEntries(cursor, remaining, Self.largestLevel(alignment, remaining, min(cursor.level, largest)))
        case .reserve(_, let largest):
            if !entry.isEmpty { throw .alreadyMapped }
            let level = Self.largestLevel(first &+ offset, remaining, min(cursor.level, Int(largest.rawValue)))
            return emptyEntries(cursor, remaining, level)
        case .unmap, .protect, .adjust:
            if !entry.isPresent {
                if case .unmap = operation { throw .notMapped }
                if !entry.isDemand { throw .notMapped }
            }
            if case .adjust(let adding, let removing) = operation {
                let old = entry.permissions(atLevel: cursor.level)
                let new = old.subtracting(removing).union(adding)
                // Without NX every page is executable, and that is not to keep anybody from writing.
                if features.noExecute && new.isWritableAndExecutable { throw .writableAndExecutable }
            }
            let level = exactLevel ?? Self.largestLevel(first &+ offset, remaining, cursor.level)
            if level > cursor.level { throw .insideSmallerPages }
            if level < cursor.level && !splitting { throw .insideLargePage }
            return Step(level: level, count: 1)
        }
    }

    /// All entries at `level` from the empty one at `cursor` to the end of their table, of the range, or of what is
    /// empty. None but the first can be where a larger page fits: that begins where a table does.
    @inline(__always)
    private func emptyEntries(_ cursor: PageTableCursor, _ remaining: UInt, _ level: Int) -> Step {
        let index = PageTable.index(of: cursor.address, atLevel: level)
        let wanted = Int(bitPattern: remaining >> PageTable.shift(ofLevel: level))
        let limit = min(PageTable.entryCount &- index, wanted)
        // A table that is not there yet is empty all through.
        return Step(level: level, count: level < cursor.level ? limit : cursor.emptyEntries(limit: limit))
    }

    /// The largest level, at most `ceiling`, whose pages fit the alignment and what remains.
    @inline(__always)
    private static func largestLevel(_ alignment: UInt, _ remaining: UInt, _ ceiling: Int) -> Int {
        var level = ceiling
        while level > 0 {
            let byteCount = PageTable.byteCount(ofLevel: level)
            if alignment & (byteCount &- 1) == 0 && remaining >= byteCount { return level }
            level &-= 1
        }
        return 0
    }
}

/// Counts the tables that a change needs, each once, while the plan moves upwards through the addresses.
struct TablePlan {
    private(set) var needed = 0
    /// For each level, what the table counted last stands for.
    private var counted = InlineArray<4, UInt>(repeating: .max)

    /// An entry at level `target` is wanted at `address`, where the path ends at `level`.
    @inline(__always)
    mutating func note(_ address: UInt, from level: Int, to target: Int) {
        var missing = target
        while missing < level {
            let covered = address >> PageTable.shift(ofLevel: missing &+ 1)
            if counted[missing] != covered {
                counted[missing] = covered
                needed &+= 1
            }
            missing &+= 1
        }
    }
}
