import MemoryPrimitives
import PageFrames
import Paging
import Synchronization

/// Areas for kernel stacks: the upper pages are there, the lower ones due when the stack grows.
///
/// Their pages become present without a lock (`KernelStacks.grow`), so that an area's own count knows the upper pages only;
/// what has grown is counted for all stacks together, and for one of them when it is taken apart.
extension Vmalloc {
    /// Reserves an area for a stack.
    /// - Parameters:
    ///   - mapped: how many of its pages are mapped now: the highest, at least one.
    ///   - prepare: called with each frame before it is mapped.
    /// - Returns: the live area; nil, with everything as before, where something is lacking, after a purge too.
    func allocateStack(
        _ request: AreaRequest, mapped: UInt, flags: AllocationFlags, preparing prepare: (PageFrameNumber) -> Void
    ) -> Area? {
        var flagsNow = flags
        // Of what a purge may mend nothing is said before.
        var mayPurge = purgeThreshold != 0 && ranges.waitingPages != 0
        if mayPurge { flagsNow = flagsNow | .noWarn }
        while true {
            if let area = tryStack(request, mapped, flagsNow, prepare) { return area }
            if !mayPurge { return nil }
            purge()
            mayPurge = false
            flagsNow = flags
        }
    }

    /// As `allocateStack`, without a purge.
    @inline(__always)
    private func tryStack(
        _ request: AreaRequest, _ mapped: UInt, _ flags: AllocationFlags, _ prepare: (PageFrameNumber) -> Void
    ) -> Area? {
        var request = request
        request.isOnDemand = true
        let due = Int(bitPattern: request.pageCount &- mapped)
        // First of all, so that an impossible size fails before any work is done.
        guard frames.value.promise(frames: due) else {
            reportLack(request, flags)
            return nil
        }
        guard let area = ranges.allocate(request, flags: flags) else {
            frames.value.withdrawPromise(frames: due)
            return nil
        }
        guard setUpStack(area, mapped, flags, prepare) else {
            abandonStack(area, due: due)
            return nil
        }
        ranges.publish(area, presentPages: mapped)
        return area
    }

    /// Undoes what `setUpStack` did until something was lacking.
    /// - Parameter due: for how many pages a frame is promised.
    @inline(never)
    private func abandonStack(_ area: borrowing Area, due: Int) {
        // A wild access may have had it grow meanwhile; from here on nothing does.
        _ = pageTables.value.closeStack(area.usable)
        // Where the lower pages are due, each that is there has grown; its promise is the reserve's now.
        let lower = VirtualRange(area.usable.start, area.usable.start + UInt(bitPattern: due) &<< PageSize.shift)
        let grown = pageTables.value.presentPages(in: lower)
        grownStackPages.subtract(grown, ordering: .relaxed)
        frames.value.withdrawPromise(frames: due &- Int(bitPattern: grown))
        // Pages that were mapped just now: no permissions have changed. Damaged tables keep their range for good.
        var taken: UInt = 0
        if takeStackPages(area.usable, &taken) { ranges.abandon(area) }
    }

    /// - Returns: false where something is lacking; some pages may be there then.
    @inline(__always)
    private func setUpStack(
        _ area: borrowing Area, _ mapped: UInt, _ flags: AllocationFlags, _ prepare: (PageFrameNumber) -> Void
    ) -> Bool {
        var source = BuddyTableSource<P>(frames: frames)
        let usable = area.usable
        var page = usable.end - mapped &<< PageSize.shift
        do throws(PagingError) {
            try pageTables.value.reserveStack(
                VirtualRange(usable.start, page), permissions: .readWrite, using: &source)
        } catch { return false }
        while page < usable.end {
            guard let frame = frames.value.allocate(order: 0, flags: flags | .noLeakTrace) else { return false }
            prepare(frame)
            if !mapFrame(frame, at: page, &source) {
                frames.value.free(frame, order: 0)
                return false
            }
            page = page + PageSize.byteCount
        }
        return true
    }

    private func mapFrame(
        _ frame: PageFrameNumber, at page: VirtualAddress, _ source: inout BuddyTableSource<P>
    ) -> Bool {
        // A number, for which any memory will do.
        unsafe withUnsafeTemporaryAllocation(of: PageFrameNumber.self, capacity: 1) { batch in
            unsafe batch.initializeElement(at: 0, to: frame)
            do throws(PagingError) {
                try unsafe pageTables.value.mapFrames(
                    from: page, to: UnsafeBufferPointer(batch), permissions: .readWrite, using: &source)
                return true
            } catch { return false }
        }
    }

    /// Frees the area of a stack on which nothing runs: frames, promises, addresses.
    /// - Complexity: O(pages + log areas). Any context.
    func freeStack(_ start: VirtualAddress) {
        guard let area = beginFreeingStack(start) else { return }
        let due = closeStack(area)
        var taken: UInt = 0
        if !takeAllPages(of: area, &taken) { return keepDamagedStack(area, taken) }
        finishFreeingStack(area, taken, due)
    }

    /// Has nothing of a stack grow any more, and withdraws the promises for what has not. - Returns: for how many pages.
    @inline(__always)
    private func closeStack(_ area: borrowing Area) -> UInt {
        let due = pageTables.value.closeStack(area.usable)
        frames.value.withdrawPromise(frames: Int(bitPattern: due))
        return due
    }

    private func takeAllPages(of area: borrowing Area, _ taken: inout UInt) -> Bool {
        guard area.hasOtherPermissions, let note = area.note else { return takeStackPages(area.usable, &taken) }
        guard let given = takePagesAway(from: AreaPages(note)) else { return false }
        taken = given
        return true
    }

    /// A stack whose tables are not its own was reported, and stays dying for good: nobody counts what it has grown by.
    @inline(never)
    private func keepDamagedStack(_ area: borrowing Area, _ taken: UInt) {
        let found = taken &+ pageTables.value.presentPages(in: area.usable)
        // Those that are due by the area's own count: withdrawn, or the reserve's since they grew.
        if let note = area.note { _ = ranges.withdrawPromise(of: note) }
        if found > area.presentPages { grownStackPages.subtract(found &- area.presentPages, ordering: .relaxed) }
    }

    /// As `freeStack`, of a stack whose pages have always allowed what they do: for a shrinker, which is called where little
    /// stack is left, and where tables must not be changed that need memory.
    /// - Returns: how many frames were given back.
    func freeReadyStack(_ start: VirtualAddress) -> UInt {
        guard let area = beginFreeingStack(start) else { return 0 }
        let due = closeStack(area)
        var taken: UInt = 0
        if takeStackPages(area.usable, &taken) {
            finishFreeingStack(area, taken, due)
        } else {
            keepDamagedStack(area, taken)
        }
        return taken
    }

    @inline(__always)
    private func beginFreeingStack(_ start: VirtualAddress) -> Area? {
        if case .begun(let area) = ranges.beginFree(start, kind: .stack) { return area }
        P.report(
            MemoryViolation(.corruption, in: "KernelStack.free", at: start.rawValue, "the area is no stack in use"))
        return nil
    }

    /// - Parameter taken: how many frames there were.
    /// - Returns: false, reported, where the tables are not the area's own, whose range then is nobody's for good.
    @inline(never)
    private func takeStackPages(_ usable: VirtualRange, _ taken: inout UInt) -> Bool {
        var source = BuddyTableSource<P>(frames: frames)
        var left = usable
        var count: UInt = 0
        // Numbers, for which any memory will do.
        let isDone = unsafe withUnsafeTemporaryAllocation(of: PageFrameNumber.self, capacity: 4) { batch -> Bool in
            while !left.isEmpty {
                do throws(PagingError) {
                    let found = try unsafe pageTables.value.takeFrames(from: &left, into: batch, using: &source)
                    // Filled that far just now; frames of a stack are single ones.
                    for index in 0..<found { frames.value.free(unsafe batch[index], order: 0) }
                    count &+= UInt(bitPattern: found)
                } catch {
                    reportDamage(left.start, error)
                    return false
                }
            }
            return true
        }
        taken = count
        return isDone
    }

    @inline(never)
    private func finishFreeingStack(_ area: borrowing Area, _ given: UInt, _ due: UInt) {
        if given &+ due != area.reservedPages {
            P.report(
                MemoryViolation(
                    .corruption, in: "KernelStack.free", at: area.usable.start.rawValue,
                    "not so many pages as there were", given))
        }
        grownStackPages.subtract(given &- area.presentPages, ordering: .relaxed)
        ranges.release(area, from: .dying, in: "KernelStack.free")
    }

    /// Tells the watcher of a stack that somebody has got, or gives back; with its guard pages, where the addresses in its
    /// description lead to.
    func tellOfStack(_ area: borrowing Area, isFreed: Bool) {
        let start = area.range.start.rawValue
        if isFreed {
            frames.value.noteFree(start, byteCount: area.range.byteCount)
        } else {
            frames.value.noteAllocation(start, byteCount: area.range.byteCount, .stack, .kernel)
        }
    }
}

extension VirtualRangeAllocator {
    /// Has an area that is the caller's called otherwise from here on. - Complexity: O(1).
    func rename(_ reference: AreaReference, _ name: StaticString, caller: UInt) {
        lock.withLock {
            reference.node.area.name = name
            reference.node.area.caller = caller
        }
    }

    /// The live area of a kernel stack that comes next after `address`, in the order of addresses.
    /// - Complexity: O(areas between).
    func stack(after address: VirtualAddress) -> Area? {
        lock.withLock {
            var current = unlockedState.tree.nearest(to: address)
            while let reference = current {
                let area = reference.node.area
                if reference.start > address, area.kind == .stack, area.state == .live { return area }
                current = reference.node.next
            }
            return nil
        }
    }
}
