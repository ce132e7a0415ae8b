import MemoryPrimitives
import PageFrames
import Paging

/// Memory with pages of 2 MiB and 1 GiB behind it where there are such blocks: fewer entries, fewer tables, fewer misses
/// of the TLB. All of it is there from the beginning.
extension Vmalloc {
    /// Allocates `byteCount` bytes, rounded up to whole 4 KiB pages, with the largest pages that memory allows: of 1 GiB
    /// where the CPU has them and the area is so large, of 2 MiB, and of 4 KiB for what is left and where there is no such
    /// block.
    ///
    /// The area begins where such a page may begin. Less than 2 MiB is as `allocate` populated, and so is what asks for a
    /// zone.
    /// - Parameters: as of `allocate`.
    /// - Returns: as `allocate`; `free` frees it.
    /// - Complexity: O(pages + log areas). For 1 GiB, besides, O(frames) of each part of memory that is tried. Any context.
    public func allocateLarge(
        _ byteCount: UInt, flags: AllocationFlags = .kernel, name: StaticString = "vmalloc_huge", caller: UInt = 0
    ) -> VirtualAddress? {
        let outer = P.enterTracedCall()
        let start = makeLarge(byteCount, flags, name, caller)
        P.leaveTracedCall(outer)
        if P.isTracing { traceAllocation(of: byteCount, start, flags, caller, isPopulated: true) }
        return start
    }

    @inline(__always)
    private func makeLarge(
        _ byteCount: UInt, _ flags: AllocationFlags, _ name: StaticString, _ caller: UInt
    ) -> VirtualAddress? {
        let pages = pageCount(forBytes: byteCount)
        let isLarge = pages >= PageSize.size2MiB.frameCount && pages <= frames.value.managedFrames
        if isLarge, flags.isDisjoint(with: .dma | .dma32) {
            let largest = min(pageTables.value.features.largestPage, pages.largestPage)
            if let area = reserveLarge(pages, largest, flags, name, caller) {
                if fill(area.usable, largest, flags | .noLeakTrace) {
                    ranges.publish(area, presentPages: area.reservedPages)
                    frames.value.noteAllocation(
                        area.usable.start.rawValue, byteCount: area.usable.byteCount, .area, flags)
                    return area.usable.start
                }
                dropUnpublished(area)
                // With small pages all of the frames would be wanted just as well: says what is lacking.
                reportLack(pages, flags)
                return nil
            }
        }
        return allocate(byteCount, flags: flags, populate: true, name: name, caller: caller)
    }

    /// An area that begins where a page of `largest` or, if there is no such gap, of 2 MiB may begin.
    private func reserveLarge(
        _ pages: UInt, _ largest: PageSize, _ flags: AllocationFlags, _ name: StaticString, _ caller: UInt
    ) -> Area? {
        var request = AreaRequest(
            .vmalloc, pageCount: pages, alignment: largest.byteCount, name: name, caller: caller)
        request.hasLargePages = true
        if let note = reserve(request, flags | .noWarn) { return VirtualRangeAllocator<P>.copy(note) }
        if largest == .size2MiB { return nil }
        request.alignment = PageSize.size2MiB.byteCount
        return reserve(request, flags | .noWarn).map { VirtualRangeAllocator<P>.copy($0) }
    }

    private func reportLack(_ pages: UInt, _ flags: AllocationFlags) {
        if flags.contains(.noWarn) { return }
        P.report(
            FailedAllocation(areaOf: pages &<< PageSize.shift, lack: .areaFrames, flags: flags.rawValue))
    }

    /// Maps memory behind `range`, which begins where a page of 2 MiB may begin. - Returns: false where it ran out.
    private func fill(_ range: VirtualRange, _ largest: PageSize, _ flags: AllocationFlags) -> Bool {
        var source = BuddyTableSource<P>(frames: frames)
        var largest = largest
        var page = range.start
        while page < range.end {
            let left = range.end.distance(from: page)
            var size = largest
            while let next = size.smaller, left < size.byteCount || !page.isAligned(to: size.byteCount) { size = next }
            if let next = size.smaller {
                if mapBlock(at: page, size, flags, &source) {
                    page = page + size.byteCount
                } else {
                    // None of the size is left, or nearly so: what is smaller will do for all that follows.
                    largest = next
                }
                continue
            }
            let end = page + min(left, PageSize.size2MiB.byteCount)
            if !mapSmallPages(VirtualRange(page, end), flags, &source) { return false }
            page = end
        }
        return true
    }

    /// Maps one large page, if there is a block for it.
    private func mapBlock(
        at page: VirtualAddress, _ size: PageSize, _ flags: AllocationFlags, _ source: inout BuddyTableSource<P>
    ) -> Bool {
        // Without effort and without a report: there are smaller pages.
        let effort = (flags | .noWarn | .noRetry).subtracting(.directReclaim)
        let frame = size == .size1GiB ? allocateGigabyte(effort) : frames.value.allocate(order: 9, flags: effort)
        guard let frame else { return false }
        do throws(PagingError) {
            try pageTables.value.map(page, to: frame.address, size: size, permissions: .readWrite, using: &source)
            return true
        } catch {
            giveBack(frame, size)
            return false
        }
    }

    /// 1 GiB of unused frames that lie in a row and on the boundary of such a page. Memory above 4 GiB is tried first, which
    /// fewer can use.
    private func allocateGigabyte(_ flags: AllocationFlags) -> PageFrameNumber? {
        var number: UInt = 4
        while true {
            switch takeGigabyte(number, flags) {
            case .some(nil): number &+= 1
            case .some(let frame): return frame
            case nil:
                // Beyond the end of memory.
                number = 3
                while number > 0 {
                    if case .some(let frame?) = takeGigabyte(number, flags) { return frame }
                    number &-= 1
                }
                return nil
            }
        }
    }

    /// - Returns: nil beyond the end of memory; a nil frame where some of it is in use.
    private func takeGigabyte(_ number: UInt, _ flags: AllocationFlags) -> PageFrameNumber?? {
        let first = PageFrameNumber(number &* PageSize.size1GiB.frameCount)
        do throws(ContiguousError) {
            try frames.value.allocateContiguous(first..<first + PageSize.size1GiB.frameCount, flags: flags)
            return .some(first)
        } catch {
            if case .outsideMemory = error { return nil }
            return .some(nil)
        }
    }

    private func giveBack(_ frame: PageFrameNumber, _ size: PageSize) {
        if size == .size1GiB {
            _ = frames.value.freeContiguous(frame..<frame + size.frameCount)
        } else {
            frames.value.free(frame, order: 9)
        }
    }

    /// Maps a frame behind each page of a range of at most 2 MiB, which lies in one last-level table.
    @inline(never)
    private func mapSmallPages(
        _ range: VirtualRange, _ flags: AllocationFlags, _ source: inout BuddyTableSource<P>
    ) -> Bool {
        // Numbers, for which any memory will do.
        unsafe withUnsafeTemporaryAllocation(of: PageFrameNumber.self, capacity: 64) { batch in
            var page = range.start
            while page < range.end {
                let wanted = Int(bitPattern: min(64, range.end.distance(from: page) &>> PageSize.shift))
                // Within the buffer by the minimum.
                let part = unsafe UnsafeMutableBufferPointer(rebasing: batch[0..<wanted])
                let count = unsafe frames.value.allocateBulk(into: part, flags: flags)
                var isMapped = false
                if count == wanted {
                    do throws(PagingError) {
                        try unsafe pageTables.value.mapFrames(
                            from: page, to: UnsafeBufferPointer(part), permissions: .readWrite, using: &source)
                        isMapped = true
                    } catch {}
                }
                if !isMapped {
                    // Taken just now, and nobody has seen them.
                    for index in 0..<count { frames.value.free(unsafe part[index], order: 0) }
                    return false
                }
                page = page + UInt(bitPattern: wanted) &<< PageSize.shift
            }
            return true
        }
    }

    // MARK: Freeing

    /// As `takePagesAway`, for an area whose pages may have any size: also one that was large, and of which a part has
    /// been given other permissions since.
    func takeLargePagesAway(from pages: AreaPages) -> UInt? {
        if pages.haveOtherPermissions, pages.areOwned { showWritable(pages.range) }
        return clear(pages)
    }

    /// Makes the direct map's pages of an area's frames writable, for their next owner. No address may execute them then;
    /// nobody uses the area any more.
    @inline(never)
    private func showWritable(_ range: VirtualRange) {
        var source = BuddyTableSource<P>(frames: frames)
        do throws(PagingError) {
            try pageTables.value.adjustRange(range, removing: .execute, using: &source)
        } catch {
            // Some of it is not mapped: what is, is told below.
        }
        var page = range.start
        while page < range.end {
            if let frame = pageTables.value.frame(at: page) { showWritable(frame, &source) }
            page = page + PageSize.byteCount
        }
    }

    @inline(never)
    private func clear(_ pages: AreaPages) -> UInt? {
        var source = BuddyTableSource<P>(frames: frames)
        var count: UInt = 0
        var pending = PendingBlock()
        let isOwner = pages.areOwned
        do throws(PagingError) {
            try pageTables.value.clear(pages.range, using: &source) { address, size in
                if !isOwner { return }
                count &+= size.frameCount
                let frame = PageFrameNumber(containing: address)
                if size == .size1GiB { return giveBack(frame, size) }
                giveBack(frame, size.frameCount, &pending)
            }
        } catch {
            reportDamage(pages.range.start, error)
            return nil
        }
        if pending.count > 0 { reportPart(pending) }
        return count
    }

    /// Frees the blocks that `count` frames are, together with those before them: a block whose large page was split comes
    /// back in pieces, and goes with the last of them.
    private func giveBack(_ first: PageFrameNumber, _ count: UInt, _ pending: inout PendingBlock) {
        if pending.count > 0 && pending.end != first {
            reportPart(pending)
            pending = PendingBlock()
        }
        if pending.count == 0 { pending.first = first }
        pending.count &+= count
        while pending.count > 0 {
            let order = frames.value.order(ofBlockAt: pending.first)
            if 1 &<< UInt(bitPattern: order) > pending.count { return }
            frames.value.free(pending.first, order: order)
            pending.first = pending.first + 1 &<< UInt(bitPattern: order)
            pending.count &-= 1 &<< UInt(bitPattern: order)
        }
    }

    /// Names a block of which the area has only a part; it stays allocated.
    private func reportPart(_ pending: PendingBlock) {
        P.report(
            MemoryViolation(
                .corruption, in: "vfree", at: pending.first.address.rawValue, "a part of a block is the area's",
                pending.count))
    }
}

/// Frames taken out of the tables that are not yet a whole block.
private struct PendingBlock {
    var first = PageFrameNumber(0)
    var count: UInt = 0

    var end: PageFrameNumber { first + count }
}

extension PageSize {
    /// The next smaller size; nil for 4 KiB.
    fileprivate var smaller: PageSize? {
        switch self {
        case .size1GiB: .size2MiB
        case .size2MiB: .size4KiB
        case .size4KiB: nil
        }
    }
}

extension UInt {
    /// The largest page that so many 4 KiB pages have room for.
    fileprivate var largestPage: PageSize {
        self >= PageSize.size1GiB.frameCount
            ? .size1GiB : self >= PageSize.size2MiB.frameCount ? .size2MiB : .size4KiB
    }
}
