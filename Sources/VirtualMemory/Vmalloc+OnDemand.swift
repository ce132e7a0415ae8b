import MemoryPrimitives
import PageFrames
import Paging

/// Areas whose pages are mapped at their first touch: how they come and go.
///
/// What lies whole within an area is one entry of 2 MiB or 1 GiB, so that an area costs a few stores whatever its size. A
/// touch may have to cut such an entry into 512, for which it needs a table: that is promised too, because a touch must not
/// fail.
extension Vmalloc {
    /// Reserves an area whose pages are mapped at their first touch.
    ///
    /// An area of 2 MiB or more begins at a multiple of 2 MiB, of 1 GiB or more at one of 1 GiB, where there is room.
    /// - Returns: the live area; nil, with everything as before, where something is lacking.
    /// - Complexity: O(log areas), and writing at most 2 * 511 entries of 4 KiB and as many of 2 MiB.
    public func allocateOnDemand(_ request: AreaRequest, flags: AllocationFlags = .kernel) -> Area? {
        var request = request
        request.isOnDemand = true
        // What an area needs at most that begins where large entries do.
        let mostTables = Self.largeEntries(inPages: request.pageCount)
        // First of all, so that an impossible size fails before any work is done.
        guard request.pageCount > 0, let count = Int(exactly: request.pageCount), count <= Int.max >> PageSize.shift,
            promise(count &+ Int(bitPattern: mostTables))
        else {
            reportLack(request, flags)
            return nil
        }
        guard let area = mostTables == 0 ? reserve(request, flags) : reserveAligned(request, flags) else {
            frames.value.withdrawPromise(frames: count &+ Int(bitPattern: mostTables))
            return nil
        }
        if !reserveEntries(of: area) {
            dropUnpublished(area)
            frames.value.withdrawPromise(frames: count &+ Int(bitPattern: mostTables))
            return nil
        }
        let tables = mostTables == 0 ? 0 : Self.largeEntries(in: area.node.area.usable)
        if tables < mostTables { frames.value.withdrawPromise(frames: Int(bitPattern: mostTables &- tables)) }
        ranges.publish(area, presentPages: 0, promisedTables: tables)
        tell(of: area, flags)
        return VirtualRangeAllocator<P>.copy(area)
    }

    /// An area whose large entries begin where it does; where there is no room for that, any.
    @inline(never)
    private func reserveAligned(_ request: AreaRequest, _ flags: AllocationFlags) -> AreaReference? {
        var aligned = request
        let size = request.pageCount < PageSize.size1GiB.frameCount ? PageSize.size2MiB : .size1GiB
        aligned.alignment = max(request.alignment, size.byteCount)
        return reserve(aligned, flags | .noWarn) ?? reserve(request, flags)
    }

    /// How many entries that stand for more than a page, and for more than one of those, `count` pages come to: each may be
    /// cut, and needs a table then.
    @inline(__always)
    private static func largeEntries(inPages count: UInt) -> UInt {
        count / PageSize.size2MiB.frameCount &+ count / PageSize.size1GiB.frameCount
    }

    private static func largeEntries(in range: VirtualRange) -> UInt {
        entries(of: .size2MiB, in: range) &+ entries(of: .size1GiB, in: range)
    }

    private static func entries(of size: PageSize, in range: VirtualRange) -> UInt {
        let first = (range.start.rawValue &+ (size.byteCount &- 1)) >> size.shift
        let end = range.end.rawValue >> size.shift
        return end > first ? end &- first : 0
    }

    /// Has the pages of an area due, after a purge where there is no frame for a table otherwise.
    /// - Returns: false where there was none; some entries may have been written then.
    private func reserveEntries(of area: AreaReference) -> Bool {
        if writeEntries(area.node.area.usable) { return true }
        return purgeForMore() && takePagesAway(from: AreaPages(area)) != nil && writeEntries(area.node.area.usable)
    }

    private func writeEntries(_ range: VirtualRange) -> Bool {
        var source = BuddyTableSource<P>(frames: frames)
        do throws(PagingError) {
            try reserveEntries(range, using: &source)
            return true
        } catch {
            return false
        }
    }

    /// - Throws: where there was no frame for a table; some entries may have been written then.
    private func reserveEntries(
        _ range: VirtualRange, using source: inout BuddyTableSource<P>
    ) throws(PagingError) {
        // Up to where large entries begin, these, and the rest: each at most one last-level table of pages.
        var start = range.start
        while start < range.end {
            let table = start.roundedDown(to: PageSize.size2MiB.byteCount) + PageSize.size2MiB.byteCount
            let large = VirtualAddress(range.end.rawValue & ~(PageSize.size2MiB.byteCount &- 1))
            let isLarge = start.isAligned(to: PageSize.size2MiB.byteCount) && large > start
            let end = isLarge ? large : min(table, range.end)
            try pageTables.value.reserveDemand(
                VirtualRange(start, end), permissions: .readWrite, largest: .size1GiB, using: &source)
            start = end
        }
    }

    /// Returns when no fault in an area that is being freed is under way any more: its counts stay as they are.
    @inline(never)
    func awaitTouches(of area: AreaReference) {
        faultLocks.passThroughAll(includingLarge: area.node.area.reservedPages >= PageSize.size2MiB.frameCount)
    }

    /// Empties the entries of an area on demand that nobody uses, and gives back the frames once no CPU can reach them.
    /// - Returns: how many frames there were; nil, reported, where the tables are damaged.
    @inline(never)
    func takeTouchedPagesAway(from pages: AreaPages) -> UInt? {
        var source = BuddyTableSource<P>(frames: frames)
        var count: UInt = 0
        let usable = pages.range
        let hasOtherPermissions = pages.haveOtherPermissions
        return unsafe withBatch { batch -> UInt? in
            var start = usable.start
            while start < usable.end {
                do throws(PagingError) {
                    var left = VirtualRange(start, usable.end)
                    switch try pageTables.value.takeLarge(from: &left, using: &source) {
                    case .page(let frame, let size):
                        giveBackLarge(frame, size, hasOtherPermissions, &source)
                        count &+= size.frameCount
                    case .due: break
                    case .none:
                        // No further than to the end of a window, and so of the blocks that a touch has brought.
                        let window = UInt(Self.batchSize) &<< PageSize.shift
                        let end = VirtualAddress((start.rawValue | (window &- 1)) &+ 1)
                        left = VirtualRange(start, min(end, usable.end))
                        while !left.isEmpty {
                            let found = try unsafe pageTables.value.takeFrames(
                                from: &left, into: batch, using: &source)
                            if hasOtherPermissions { unsafe showWritable(batch, found, &source) }
                            unsafe giveBack(batch, found)
                            count &+= UInt(bitPattern: found)
                        }
                    }
                    start = left.start
                } catch {
                    reportDamage(start, error)
                    return nil
                }
            }
            return count
        }
    }

    /// Makes all pages of an area that are due at their first touch present, as touching each would: `MAP_POPULATE`.
    /// - Parameter range: whole pages of one area's usable part.
    /// - Returns: false where a page is not the caller's to touch; those before it are there then.
    /// - Complexity: O(pages, or what is there of large ones, * log areas). Any context but a fault's.
    public func populate(_ range: VirtualRange) -> Bool {
        var page = range.start
        while page < range.end {
            if case .mapped(let translation) = pageTables.value.lookup(page), translation.permissions.contains(.write) {
                let size = translation.size.byteCount
                let (next, overflow) = (page.rawValue & ~(size &- 1)).addingReportingOverflow(size)
                if overflow { return true }
                page = VirtualAddress(next)
                continue
            }
            if case .fatal = handleFault(at: page, access: .write) { return false }
        }
        return true
    }
}
