import MemoryPrimitives

/// Tables that nothing refers to any more, and that a CPU may still walk through: they wait for one flush of all.
public struct UnlinkedTables<P: Platform>: ~Copyable {
    var list = TableList()
    /// A page behind each table: to flush it is to forget the way there.
    var stale = FlushBatch<P>()

    /// None yet.
    public init() {}

    /// Whether no table waits.
    public var isEmpty: Bool { list.count == 0 }
}

extension PageTables {
    /// Flushes every CPU's way to `tables`, in one round, and gives them back to `source`.
    /// - Complexity: O(tables). Any context in which other CPUs can be waited for.
    public func free(_ tables: inout UnlinkedTables<P>, using source: inout some TableFrameSource & ~Copyable) {
        if tables.isEmpty { return }
        tables.stale.flush(alias)
        tables.list.drain(into: &source, directMap)
    }
}

/// Pages that have been taken away, all CPUs to be told of them in one round.
public struct PageFlush<P: Platform>: ~Copyable {
    var batch = FlushBatch<P>()

    /// None yet.
    public init() {}

    /// Adds the pages of `range`. - Complexity: O(pages), at most `FlushBatch.capacity`.
    @inline(__always)
    public mutating func add(_ range: VirtualRange) {
        var page = range.start
        while page < range.end && !batch.isOverfull {
            batch.add(page.rawValue)
            page = page + PageSize.byteCount
        }
    }
}

/// Flushes for callers that have taken pages away without one.
extension PageTables {
    /// Tells every CPU in one round that the pages of `flush` are gone: one by one where they are few.
    /// - Complexity: O(pages), at most `FlushBatch.capacity`. Any context in which other CPUs can be waited for.
    public func flush(_ flush: inout PageFlush<P>) { flush.batch.flush(alias) }

    /// Drops what this CPU alone remembers of the pages of `range`: single pages where they are few. For pages that every
    /// CPU is told of later. - Complexity: O(pages), at most `FlushBatch.capacity`.
    public func flushOwn(_ range: VirtualRange) {
        if range.byteCount > UInt(FlushBatch<P>.capacity) &<< PageSize.shift { return P.flushAllOwnPages() }
        var page = range.start
        while page < range.end {
            P.flushOwnPage(page)
            page = page + PageSize.byteCount
        }
    }
}
