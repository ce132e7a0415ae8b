import MemoryPrimitives
import Synchronization

/// An address space: a tree of page tables of four levels, or of five where the CPU has them, and every change to it.
///
/// Several CPUs may call at once, from any context: one lock keeps the tables whole. Two callers must not work on the
/// same addresses at the same time; who owns a range is decided above. A call that changes what was present returns
/// when no CPU holds the old translation any more. Flushing happens after the lock is released, and tables that became
/// empty are unlinked, then flushed, then freed.
///
/// The accesses that a change does not disturb go on meanwhile. After a table was unlinked and another took its place,
/// a CPU may fault once on a page that is mapped; see `PageLookup.mapped`.
///
/// Loading CR3 and the control registers is not done here.
public struct PageTables<P: Platform>: ~Copyable, @unchecked Sendable {
    /// The top-level table.
    public let root: PhysicalAddress
    /// Reaches every table.
    public let directMap: DirectMap
    /// What the CPU's paging offers.
    public let features: PagingFeatures
    /// The top-level entry that shows a part of the tables a second time; nil where there is none.
    public let alias: TopLevelAlias?

    /// A page of data without its frame, as most are.
    let readWriteLeaf: PageTableEntry
    let lock = SpinLock<P>()
    private let tables = Atomic<Int>(0)

    /// Takes over a tree of tables.
    /// - Parameters:
    ///   - root: an empty top-level table, or one that this type built.
    ///   - directMap: reaches every table.
    ///   - features: what the CPU's paging offers.
    ///   - alias: two slots that `shareTopLevelEntry` will join.
    public init(root: PhysicalAddress, directMap: DirectMap, features: PagingFeatures, alias: TopLevelAlias? = nil) {
        self.root = root
        self.directMap = directMap
        self.features = features
        self.alias = alias
        readWriteLeaf = PageTableEntry(leaf: .zero, size: .size4KiB, permissions: .readWrite, features: features)
    }

    /// True when this CPU is in the midst of a change: who waits for these tables then would wait for ever.
    public var isLockedByThisCPU: Bool { lock.isHeldByThisCPU }

    /// Runs `body` with the lock held, for tests of what can happen in the midst of a change. It must not call these tables.
    public func withLocked(_ body: () -> Void) { lock.withLock(body) }

    /// How many tables a translation goes through at most: 4 or 5.
    public var levels: Int { features.topLevel &+ 1 }

    /// Tables below the root that are linked in; a snapshot.
    public var tableCount: Int { tables.load(ordering: .relaxed) }

    /// Counts a change of the number of tables. The lock is held.
    func countTables(_ difference: Int) {
        tables.store(tables.load(ordering: .relaxed) &+ difference, ordering: .relaxed)
    }

    var cursor: PageTableCursor { PageTableCursor(root: root, directMap, topLevel: features.topLevel) }

    /// Plans and commits `change`, then flushes and frees.
    /// - Returns: the last page that an `unmap` removed.
    @discardableResult
    func run(
        _ change: RangeChange, using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) -> PhysicalAddress {
        try change.validate(features)
        var outcome = ChangeOutcome<P>()
        let state = lock.acquire()
        do throws(PagingError) {
            try plan(change, &outcome, using: &source)
        } catch {
            lock.release(state)
            throw error
        }
        commit(change, &outcome)
        lock.release(state)
        if P.isTracing { trace(change) }
        finish(&outcome, using: &source)
        return outcome.lastRemoved
    }

    /// Walks the steps of `change` without writing, and takes the tables that it needs. The lock is held.
    private func plan(
        _ change: RangeChange, _ outcome: inout ChangeOutcome<P>,
        using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) {
        var cursor = cursor
        var plan = TablePlan()
        var offset: UInt = 0
        while offset < change.byteCount {
            let address = change.first &+ offset
            cursor.seek(address)
            if cursor.isInSharedSubtree { throw .sharedSubtree }
            let step = try change.step(at: offset, cursor, features)
            plan.note(address, from: cursor.level, to: step.level)
            offset &+= step.byteCount
        }
        if !outcome.reserve.fill(plan.needed, from: &source, directMap) { throw .outOfTables }
        countTables(plan.needed)
    }

    /// Makes the steps of a change that was planned. The lock is held.
    private func commit(_ change: RangeChange, _ outcome: inout ChangeOutcome<P>) {
        var cursor = cursor
        var offset: UInt = 0
        // Table entries of the lower half allow user pages; the leaves decide.
        let user = change.first >> 63 == 0
        while offset < change.byteCount {
            let address = change.first &+ offset
            cursor.seek(address)
            // The plan has made this very step.
            guard let step = try? change.step(at: offset, cursor, features) else {
                preconditionFailure("the tables changed under the lock")
            }
            if cursor.descend(to: step.level, taking: &outcome.reserve, user: user) { outcome.flush.add(address) }
            write(change, at: offset, step.count, cursor, &outcome)
            if case .unmap = change.operation { unlink(&cursor, &outcome) }
            offset &+= step.byteCount
        }
    }

    /// Writes `count` entries from the one that `cursor` stands at on. The lock is held.
    @inline(__always)
    private func write(
        _ change: RangeChange, at offset: UInt, _ count: Int, _ cursor: borrowing PageTableCursor,
        _ outcome: inout ChangeOutcome<P>
    ) {
        let size = pageSize(ofLevel: cursor.level)
        switch change.operation {
        case .map(let physical, let permissions):
            let frame = PhysicalAddress(physical.rawValue &+ offset)
            let leaf = PageTableEntry(leaf: frame, size: size, permissions: permissions, features: features)
            cursor.fill(count, with: leaf, difference: size.byteCount)
        case .reserve(let entry, _):
            cursor.fill(count, with: entry, difference: 0)
        case .unmap:
            outcome.lastRemoved = cursor.entry.pageAddress(size: size)
            cursor.write(.empty)
            outcome.flush.add(cursor.address)
        case .protect(let permissions):
            protect(cursor, permissions, size, &outcome)
        case .adjust(let adding, let removing):
            let old = cursor.entry.permissions(atLevel: cursor.level)
            protect(cursor, old.subtracting(removing).union(adding), size, &outcome)
        }
    }

    /// Gives the entry that `cursor` stands at, a page of `size` or a demand entry, other permissions. The lock is held.
    @inline(__always)
    private func protect(
        _ cursor: borrowing PageTableCursor, _ permissions: PagePermissions, _ size: PageSize,
        _ outcome: inout ChangeOutcome<P>
    ) {
        let old = cursor.entry
        if old.isDemand {
            cursor.write(.demand(permissions, features: features))
            return
        }
        let new = old.withPermissions(permissions, size: size, features: features)
        if new == old { return }
        cursor.replaceLeaf(by: new)
        outcome.flush.add(cursor.address)
    }

    /// Unlinks the tables above an entry that was cleared, as far as they are empty. The lock is held.
    @inline(__always)
    func unlink(_ cursor: inout PageTableCursor, _ outcome: inout ChangeOutcome<P>) {
        let before = outcome.unlinked.count
        if cursor.unlinkEmptyTables(into: &outcome.unlinked) {
            countTables(before &- outcome.unlinked.count)
            outcome.flush.add(cursor.address)
        }
    }

    /// Flushes what a change made stale and then gives back the tables it unlinked. The lock is not held.
    func finish(_ outcome: inout ChangeOutcome<P>, using source: inout some TableFrameSource & ~Copyable) {
        outcome.flush.flush(alias)
        outcome.unlinked.drain(into: &source, directMap)
    }
}

/// What a change takes with it through planning, committing and finishing.
struct ChangeOutcome<P: Platform> {
    /// Tables taken and not yet linked.
    var reserve = TableList()
    /// Tables unlinked and not yet freed.
    var unlinked = TableList()
    var flush = FlushBatch<P>()
    var lastRemoved = PhysicalAddress.zero
}
