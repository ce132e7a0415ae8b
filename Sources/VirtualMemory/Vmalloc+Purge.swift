import MemoryPrimitives
import PageFrames
import Paging
import Synchronization

/// Frees that are put off: to tell the other CPUs that pages are gone takes a round of messages, and one round does for
/// many areas.
///
///     vfree:  entries give up their pages and keep the frames; this CPU forgets the pages     -> area is retired
///     purge:  one round to all CPUs -> frames freed, entries emptied -> one round, where tables became empty,
///             -> tables freed -> ranges rest
///
/// What was retired is no area any more, and a use faults, at once on the CPU that freed. Neither a frame nor a table nor an
/// address goes to anybody else before its round. Areas of frames that are somebody else's are not put off: their owner
/// may free them as soon as the call is over.
extension Vmalloc {
    /// 32 MiB for each doubling of the CPUs, as Linux; 0 where there is one CPU, which is told by each free itself.
    public static var usualPurgeThreshold: UInt {
        UInt(Int.bitWidth - 1 - P.cpuCount.leadingZeroBitCount) * (32 << (20 - PageSize.shift))
    }

    /// So many pages are taken away in any context; of a larger area where the context may not wait, by the purge.
    private static var atomicPageLimit: UInt { 512 }

    /// Lets an area that the caller chose to free wait for a purge, and purges where enough waits.
    ///
    /// - Complexity: O(pages), and a purge at the threshold; where the context may not wait O(1), without a purge.
    @inline(never)
    func retire(_ area: AreaReference, call: StaticString) {
        let mayWait = P.mayWait
        // Nobody can touch it any more.
        if area.node.area.isOnDemand { withdrawPromises(of: area) }
        let isMapped = !mayWait && area.node.area.reservedPages > Self.atomicPageLimit
        if !isMapped {
            if !takeAccessAway(from: area, call: call) { return }
            pageTables.value.flushOwn(area.node.area.usable)
        }
        if ranges.retire(area, isMapped: isMapped) >= purgeThreshold && mayWait { _ = purgeUnlessBusy() }
    }

    /// Makes the pages of an area not present; their entries keep the frames.
    /// - Returns: false, reported, where the tables are damaged: the area stays dying for good, so that nobody gets its range.
    private func takeAccessAway(from area: AreaReference, call: StaticString) -> Bool {
        if area.node.area.presentPages == 0 { return true }
        var left = area.node.area.usable
        var count: UInt = 0
        while !left.isEmpty {
            do throws(PagingError) {
                count &+= UInt(bitPattern: try pageTables.value.retireFrames(from: &left))
            } catch {
                reportDamage(left.start, error)
                return false
            }
        }
        if count != area.node.area.presentPages { reportCount(of: area, count, call) }
        return true
    }

    @inline(never)
    func reportCount(of area: AreaReference, _ found: UInt, _ call: StaticString) {
        P.report(
            MemoryViolation(
                .corruption, in: call, at: area.node.area.usable.start.rawValue, "not so many pages as were counted",
                found))
    }

    // MARK: Purging

    /// Ends all frees that were put off before the call: Linux's `vm_unmap_aliases`. No CPU remembers a page of an area
    /// that was freed before, and its frames are free.
    ///
    /// Not for contexts that may not wait, in which it does nothing; what they free is ended later.
    /// - Returns: the frames that were given back. - Complexity: O(pages that wait).
    @discardableResult
    public func purge() -> UInt {
        if !P.mayWait || purgeThreshold == 0 { return 0 }
        // What another CPU is just purging was freed before the call, too.
        while true {
            if let frames = purgeUnlessBusy() { return frames }
            P.relax()
        }
    }

    /// As `purge`. - Returns: nil, with nothing done, where a purge is under way.
    func purgeUnlessBusy() -> UInt? {
        if isPurging.exchange(true, ordering: .acquiring) { return nil }
        let freed = purgeRetired()
        isPurging.store(false, ordering: .releasing)
        return freed
    }

    @inline(never)
    private func purgeRetired() -> UInt {
        let retired = ranges.takeRetired()
        if retired.first == nil { return 0 }
        retired.forEach { area in
            if area.node.area.isMapped { _ = takeAccessAway(from: area, call: "vfree") }
        }
        flush(retired)
        let freed = giveBackPages(of: retired)
        retired.forEach { area in
            // The range of damaged tables is nobody's for good.
            if area.node.area.state == .retired { ranges.end(retired: area) }
        }
        return freed
    }

    /// Tells every CPU, in one round, that the pages of what was retired are gone.
    @inline(never)
    private func flush(_ retired: RetiredAreas) {
        var batch = PageFlush<P>()
        retired.forEach { batch.add($0.node.area.usable) }
        pageTables.value.flush(&batch)
    }

    /// Frees the frames, and, after a round for them, the tables that became empty.
    private func giveBackPages(of retired: RetiredAreas) -> UInt {
        var tables = UnlinkedTables<P>()
        var freed: UInt = 0
        retired.forEach { area in
            if let count = takeRetiredPages(AreaPages(area), unlinking: &tables) {
                freed &+= count
            } else {
                ranges.keepForGood(area)
            }
        }
        var source = BuddyTableSource<P>(frames: frames)
        pageTables.value.free(&tables, using: &source)
        return freed
    }
}

/// What is short is what waits, perhaps.
extension Vmalloc {
    /// Reserves a range, after a purge where there is none otherwise.
    @inline(__always)
    func reserve(_ request: borrowing AreaRequest, _ flags: AllocationFlags) -> AreaReference? {
        if purgeThreshold == 0 { return ranges.reserve(copy request, flags) }
        return reserveOrPurge(request, flags)
    }

    @inline(never)
    private func reserveOrPurge(_ request: borrowing AreaRequest, _ flags: AllocationFlags) -> AreaReference? {
        // What contexts that may not wait have left is purged by the next that may.
        let waiting = ranges.waitingPages
        if waiting >= purgeThreshold && P.mayWait { _ = purgeUnlessBusy() }
        if waiting != 0, let area = ranges.reserve(copy request, flags | .noWarn) { return area }
        purge()
        return ranges.reserve(copy request, flags)
    }

    /// Promises frames, after a purge where there are not so many otherwise.
    @inline(__always)
    func promise(_ count: Int) -> Bool {
        frames.value.promise(frames: count) || (purgeForMore() && frames.value.promise(frames: count))
    }

    /// Purges what waits, because something is lacking. - Returns: whether to try once more: always where a purge could be,
    /// since it gives back tables and addresses, too, and another CPU's may just have ended.
    @inline(never)
    func purgeForMore() -> Bool {
        if purgeThreshold == 0 || !P.mayWait { return false }
        purge()
        return true
    }
}

/// Under pressure the frames that wait go back to the buddy.
extension Vmalloc: Shrinker {
    /// The pages of freed areas that wait for a flush; none where the caller cannot wait for one. - Complexity: O(1).
    public func count(for flags: AllocationFlags) -> UInt {
        flags.contains(.directReclaim) && P.mayWait ? ranges.statistics.retiredPages : 0
    }

    /// Purges all, whatever the target: it is one round. - Returns: the frames given back.
    public func scan(_ target: UInt, for flags: AllocationFlags) -> UInt {
        flags.contains(.directReclaim) && P.mayWait ? purgeUnlessBusy() ?? 0 : 0
    }
}
