import MemoryPrimitives
import PageFrames
import Paging

/// The pages of areas: frames behind them, and away again, in batches of what one last-level table maps.
///
/// Memory is taken in blocks as large as a batch has use for, and in smaller ones where there are none: a block costs no
/// more than a frame, and is given back as one. Which blocks there were their descriptors tell, because a batch that is
/// taken away is the batch that was mapped.
extension Vmalloc {
    /// How many frames are allocated, mapped or freed at a time.
    static var batchSize: Int { 64 }

    /// The order of the largest block that a batch has room for.
    private static var batchOrder: Int { 6 }

    /// Calls `body` with room for a batch of frames.
    @inline(__always)
    func withBatch<Result>(_ body: (UnsafeMutableBufferPointer<PageFrameNumber>) -> Result) -> Result {
        // Numbers, for which any memory will do.
        unsafe withUnsafeTemporaryAllocation(of: PageFrameNumber.self, capacity: Self.batchSize) { batch in
            unsafe body(batch)
        }
    }

    /// Maps a frame behind each page of an area. A function of its own, because its frame has room for a batch.
    /// - Returns: false where something is lacking; some may be mapped then.
    @inline(never)
    func mapFrames(
        behind usable: VirtualRange, flags: AllocationFlags, isPrepared: Bool,
        preparing prepare: (PageFrameNumber) -> Void
    ) -> Bool {
        var source = BuddyTableSource<P>(frames: frames)
        return unsafe withBatch { batch in
            var page = usable.start
            var order = Self.batchOrder
            while page < usable.end {
                // No further than to the end of the last-level table.
                let left = (usable.end.rawValue &- page.rawValue) &>> PageSize.shift
                let inTable = 512 &- (page.rawValue &>> PageSize.shift) & 511
                let wanted = Int(bitPattern: min(left, inTable, UInt(Self.batchSize)))
                // Within the buffer by the minimum.
                let part = unsafe UnsafeMutableBufferPointer(rebasing: batch[0..<wanted])
                let count = unsafe fill(part, flags | .noLeakTrace, upTo: &order)
                if count < wanted {
                    unsafe giveBack(part, count)
                    return false
                }
                if isPrepared { for index in 0..<count { prepare(unsafe part[index]) } }
                do throws(PagingError) {
                    try unsafe pageTables.value.mapFrames(
                        from: page, to: UnsafeBufferPointer(part), permissions: .readWrite, using: &source)
                } catch {
                    unsafe giveBack(part, count)
                    return false
                }
                page = page + UInt(bitPattern: wanted) &<< PageSize.shift
            }
            return true
        }
    }

    /// Fills a batch with frames. - Parameter order: what blocks there are; is lowered where there are none.
    /// - Returns: how many frames there are; fewer than wanted where memory ran out.
    @inline(__always)
    private func fill(
        _ batch: UnsafeMutableBufferPointer<PageFrameNumber>, _ flags: AllocationFlags, upTo order: inout Int
    ) -> Int {
        var count = 0
        while count < batch.count {
            let largest = 63 &- (batch.count &- count).leadingZeroBitCount
            let size = min(order, largest)
            if size == 0 && batch.count &- count > 1 {
                // What is left of the batch.
                let rest = unsafe UnsafeMutableBufferPointer(rebasing: batch[count..<batch.count])
                return count &+ (unsafe frames.value.allocateBulk(into: rest, flags: flags))
            }
            let effort = size == 0 ? flags : (flags | .noWarn | .noRetry).subtracting(.directReclaim)
            guard let block = frames.value.allocate(order: size, flags: effort) else {
                if size == 0 { return count }
                order = size &- 1
                continue
            }
            for offset in 0..<(1 &<< size) {
                // As many frames as the batch has room for by `largest`.
                unsafe batch[count &+ offset] = PageFrameNumber(block.rawValue &+ UInt(bitPattern: offset))
            }
            count &+= 1 &<< size
        }
        return count
    }

    /// Frees the blocks that the first `count` frames of a batch are.
    @inline(__always)
    func giveBack(_ batch: UnsafeMutableBufferPointer<PageFrameNumber>, _ count: Int) {
        var index = 0
        while index < count {
            // Callers have filled the batch that far.
            let frame = unsafe batch[index]
            var order = frames.value.order(ofBlockAt: frame)
            let last = index &+ 1 &<< order &- 1
            // Where the block is not here as a whole, the free below says so.
            if unsafe last >= count || batch[last].rawValue != frame.rawValue &+ UInt(bitPattern: last &- index) {
                order = 0
            }
            frames.value.free(frame, order: order)
            index &+= 1 &<< order
        }
    }

    /// Is told of a range that somebody changes the permissions of, and what the direct map shows of its frames with them,
    /// before that: so the frames' next owner finds them writable. Any context.
    public func notePermissionChange(in range: VirtualRange) {
        splitBlocks(atEndsOf: range)
        ranges.notePermissionChange(in: range)
    }

    /// Makes the direct map's pages of the first `count` frames of a batch writable, for their next owner.
    @inline(never)
    func showWritable(
        _ batch: UnsafeMutableBufferPointer<PageFrameNumber>, _ count: Int, _ source: inout BuddyTableSource<P>
    ) {
        // Callers have filled the batch that far.
        for index in 0..<count { showWritable(unsafe batch[index], &source) }
    }

    /// Makes the direct map's page of a frame writable, for the frame's next owner.
    func showWritable(_ frame: PageFrameNumber, _ source: inout BuddyTableSource<P>) {
        guard let directMap else { return }
        let alias = directMap.start + frame.address.rawValue
        guard let page = pageTables.value.translate(alias), !page.permissions.contains(.write) else { return }
        do throws(PagingError) {
            try pageTables.value.adjustRange(
                VirtualRange(alias, alias + PageSize.byteCount), adding: .write, removing: .none, using: &source)
        } catch {
            reportReadOnly(alias, error)
        }
    }

    /// Empties the entries of an area that nobody uses, and gives back the frames once no CPU can reach them.
    /// - Returns: how many frames there were; nil, reported, where the tables are damaged.
    @inline(__always)
    func takePagesAway(from pages: AreaPages) -> UInt? {
        if pages.areSmall { return takeSmallPagesAway(from: pages) }
        return pages.areOnDemand ? takeTouchedPagesAway(from: pages) : takeLargePagesAway(from: pages)
    }

    @inline(never)
    private func takeSmallPagesAway(from pages: AreaPages) -> UInt? {
        var source = BuddyTableSource<P>(frames: frames)
        if !pages.areOwned { return emptyPages(pages, &source) }
        return unsafe withBatch { batch -> UInt? in
            unsafe take(pages, batch) { (left) throws(PagingError) in
                // Areas are mapped page by page: no frame here belongs to a larger page.
                let found = try unsafe pageTables.value.takeFrames(from: &left, into: batch, using: &source)
                if pages.haveOtherPermissions { unsafe showWritable(batch, found, &source) }
                return found
            }
        }
    }

    /// Empties the entries of a retired area, of which every CPU has been told, and gives back its frames.
    /// - Parameter tables: gets the tables that became empty.
    /// - Returns: as `takePagesAway`.
    @inline(never)
    func takeRetiredPages(_ pages: AreaPages, unlinking tables: inout UnlinkedTables<P>) -> UInt? {
        unsafe withBatch { batch -> UInt? in
            unsafe take(pages, batch) { (left) throws(PagingError) in
                // The blocks that touches bring end where windows do, and those of populated areas where batches from
                // the first page do.
                let window = UInt(Self.batchSize) &<< PageSize.shift
                let last = VirtualAddress((left.start.rawValue | (window &- 1)) &+ 1)
                var part = VirtualRange(left.start, pages.areOnDemand ? min(last, left.end) : left.end)
                let found = try unsafe pageTables.value.takeRetiredFrames(from: &part, into: batch, unlinking: &tables)
                left = VirtualRange(part.start, left.end)
                return found
            }
        }
    }

    /// Empties the entries of an area whose frames are somebody else's. - Returns: as `takePagesAway`.
    @inline(__always)
    private func emptyPages(_ pages: AreaPages, _ source: inout BuddyTableSource<P>) -> UInt? {
        var count: UInt = 0
        var left = pages.range
        while !left.isEmpty {
            do throws(PagingError) {
                count &+= UInt(bitPattern: try pageTables.value.emptyPages(from: &left, using: &source))
            } catch {
                reportDamage(left.start, error)
                return nil
            }
        }
        return count
    }

    /// Calls `take` until nothing is left of an area, and gives back the frames that it finds.
    @inline(__always)
    private func take(
        _ pages: AreaPages, _ batch: UnsafeMutableBufferPointer<PageFrameNumber>,
        _ takeBatch: (inout VirtualRange) throws(PagingError) -> Int
    ) -> UInt? {
        var count: UInt = 0
        var left = pages.range
        while !left.isEmpty {
            do throws(PagingError) {
                let found = try takeBatch(&left)
                unsafe giveBack(batch, found)
                count &+= UInt(bitPattern: found)
            } catch {
                reportDamage(left.start, error)
                return nil
            }
        }
        return count
    }

    @inline(never)
    func reportDamage(_ page: VirtualAddress, _ error: PagingError) {
        P.report(
            MemoryViolation(
                .corruption, in: "vfree", at: page.rawValue, "the area's tables are not its own",
                UInt(error.rawValue)))
    }
}

/// What is to be known of an area to take its pages away.
struct AreaPages {
    let range: VirtualRange
    /// Whether the frames go with the area.
    let areOwned: Bool
    let haveOtherPermissions: Bool
    /// Whether they were there when the area was published, each of them 4 KiB.
    let areSmall: Bool
    let areOnDemand: Bool

    @inline(__always)
    init(_ area: AreaReference) {
        range = area.node.area.usable
        areOwned = area.node.area.kind.ownsFrames
        haveOtherPermissions = area.node.area.hasOtherPermissions
        areOnDemand = area.node.area.isOnDemand
        areSmall = !area.node.area.isOnDemand && !area.node.area.hasLargePages
    }
}
