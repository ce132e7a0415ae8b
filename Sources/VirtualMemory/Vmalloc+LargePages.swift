import MemoryPrimitives
import PageFrames
import Paging

/// Pages of 2 MiB behind areas, and what becomes of their frames.
extension Vmalloc {
    private static var largeOrder: Int { 9 }

    /// What a touch of a large entry comes to.
    enum LargeTouch {
        /// A page is there now, for all of it.
        case resolved
        /// The entry is in pieces now, or was before: to be looked at again.
        case again
        case refused(FaultReason)
    }

    /// What is to be done, with what it takes counted already.
    private enum LargePlan {
        case map(AreaReference)
        case cut(AreaReference)
        case end(LargeTouch)
    }

    /// Maps 2 MiB that are due in one entry, or cuts the entry. The fault lock of that size is held.
    func touchLarge(_ address: VirtualAddress, _ access: FaultAccess, _ size: PageSize) -> LargeTouch {
        let page = address.roundedDown(to: PageSize.byteCount)
        let window = VirtualRange(page, page + PageSize.byteCount)
        let plan = ranges.withTouchedArea(at: address) { area -> LargePlan in
            guard case .largeDue(let permissions, size) = pageTables.value.touch(address, within: window) else {
                return .end(.again)
            }
            if !access.isAllowed(by: permissions) {
                return .end(.refused(FaultReason(refusing: access, permissions)))
            }
            let isWhole = size == .size2MiB && area.node.area.bringsNeighbours && options.mapsLargePages
            // The table is taken now, or not needed any more.
            ranges.count(pages: isWhole ? size.frameCount : 0, tables: 1, of: area)
            return isWhole ? .map(area) : .cut(area)
        }
        switch plan {
        case .map(let area)?:
            if let block = frames.value.allocatePromisedBlock(order: Self.largeOrder, flags: .zero | .noLeakTrace) {
                return mapLarge(address, block, area)
            }
            ranges.uncount(pages: size.frameCount, of: area)
            return cut(address, size, area)
        case .cut(let area)?: return cut(address, size, area)
        case .end(let touch)?: return touch
        case nil: return .refused(.pageMissing)
        }
    }

    private func mapLarge(_ address: VirtualAddress, _ block: PageFrameNumber, _ area: AreaReference) -> LargeTouch {
        if pageTables.value.resolveLarge(at: address, with: block) {
            frames.value.withdrawPromise(frames: 1)
            return .resolved
        }
        frames.value.free(block, order: Self.largeOrder)
        ranges.uncount(pages: PageSize.size2MiB.frameCount, of: area)
        // As many frames are free as were taken just now; the promise of the table was not used.
        _ = frames.value.promise(frames: 1 << Self.largeOrder)
        ranges.uncount(pages: 0, tables: 1, of: area)
        reportChange(at: address)
        return .refused(.pageMissing)
    }

    private func cut(_ address: VirtualAddress, _ size: PageSize, _ area: AreaReference) -> LargeTouch {
        guard let table = frames.value.allocatePromised(flags: .noLeakTrace) else {
            ranges.uncount(pages: 0, tables: 1, of: area)
            return .refused(.brokenPromise)
        }
        frames.value.claim(table, order: 0, as: .table, owner: 0)
        if pageTables.value.splitDemand(at: address, size: size, table: table.address) { return .again }
        frames.value.release(table, order: 0, from: .table)
        frames.value.free(table, order: 0)
        if frames.value.promise(frames: 1) { ranges.uncount(pages: 0, tables: 1, of: area) }
        reportChange(at: address)
        return .refused(.pageMissing)
    }

    /// Only someone who changes an area's tables behind its back gets here.
    @inline(never)
    func reportChange(at address: VirtualAddress) {
        P.report(
            MemoryViolation(
                .corruption, in: "handleFault", at: address.rawValue, "the page's entry has changed meanwhile"))
    }

    /// Frees what was behind a large page, once no CPU reaches it there.
    func giveBackLarge(
        _ frame: PageFrameNumber, _ size: PageSize, _ hasOtherPermissions: Bool,
        _ source: inout BuddyTableSource<P>
    ) {
        if hasOtherPermissions { showWritable(frame, size, &source) }
        if size == .size2MiB, frames.value.order(ofBlockAt: frame) == Self.largeOrder {
            return frames.value.free(frame, order: Self.largeOrder)
        }
        // Cut by `splitBlocks`.
        for index in 0..<size.frameCount {
            frames.value.free(PageFrameNumber(frame.rawValue &+ index), order: 0)
        }
    }

    /// Makes the direct map's pages of a large page's frames writable, for their next owner.
    private func showWritable(_ frame: PageFrameNumber, _ size: PageSize, _ source: inout BuddyTableSource<P>) {
        guard let directMap else { return }
        var alias = directMap.start + frame.address.rawValue
        let end = alias + size.byteCount
        while alias < end, let page = pageTables.value.translate(alias) {
            let next = min(alias.roundedDown(to: page.size.byteCount) + page.size.byteCount, end)
            if !page.permissions.contains(.write) {
                do throws(PagingError) {
                    try pageTables.value.adjustRange(VirtualRange(alias, next), adding: .write, using: &source)
                } catch {
                    return reportReadOnly(alias, error)
                }
            }
            alias = next
        }
    }

    @inline(never)
    func reportReadOnly(_ alias: VirtualAddress, _ error: PagingError) {
        P.report(
            MemoryViolation(
                .corruption, in: "vfree", at: alias.rawValue, "a frame stays read-only in the direct map",
                UInt(error.rawValue)))
    }

    /// Makes the blocks behind large pages that lie across an end of `range` single frames: the pages there are about to be
    /// cut, and are then freed one by one.
    func splitBlocks(atEndsOf range: VirtualRange) {
        splitBlock(at: range.start)
        splitBlock(at: range.end)
    }

    private func splitBlock(at address: VirtualAddress) {
        if address.isAligned(to: PageSize.size2MiB.byteCount) { return }
        guard let area = ranges.area(containing: address), area.isOnDemand else { return }
        // Two callers at once may mean the same page.
        faultLocks.withLock(for: address, size: .size2MiB) { splitBlockLocked(at: address) }
    }

    private func splitBlockLocked(at address: VirtualAddress) {
        guard let page = pageTables.value.translate(address), page.size == .size2MiB
        else { return }
        let head = PageFrameNumber(
            containing: PhysicalAddress(page.physical.rawValue & ~(PageSize.size2MiB.byteCount &- 1)))
        if frames.value.order(ofBlockAt: head) == Self.largeOrder { frames.value.split(head, order: Self.largeOrder) }
    }
}
