import MemoryPrimitives

// The ways that allocations and frees take while anything is checked or to fail. What is checked:
//
//     allocate:  fail on purpose? -> take -> pattern of freed memory still there? -> guard -> note the owner -> zero
//     free:      (always: is it a block that is in use?) -> guard untouched? -> note who frees -> fill or zero -> put
extension PageFrameAllocator {
    /// What is checked beyond what always is.
    public var activeChecks: FrameChecks {
        checks.active.subtracting(.failureInjection | .watcher | .tracing)
    }

    /// As `allocate`, with the checks that were chosen.
    @inline(never)
    func allocateChecked(order: Int, _ flags: AllocationFlags) -> PageFrameNumber? {
        if failsOnPurpose(flags) {
            reportFailure(ZoneRequest(order: order, flags: flags, above: .min))
            return nil
        }
        if checks.active.contains(.guardPages), let frame = takeGuarded(order: order, flags) {
            return handOut(frame, order: order, flags, isGuarded: true)
        }
        guard let frame = takeFromZones(order: order, flags) else { return nil }
        return handOut(frame, order: order, flags, isGuarded: false)
    }

    /// Checks a block that has been taken out of its zone, notes its owner down, and marks it as handed out.
    ///
    /// - Parameter isGuarded: what was taken is twice as large, and its upper half is to be a guard.
    @inline(never)
    func handOut(_ frame: UInt32, order: Int, _ flags: AllocationFlags, isGuarded: Bool) -> PageFrameNumber? {
        let active = checks.active
        if active.contains(.poison) { verifyPoison(frame, order: isGuarded ? order + 1 : order) }
        if isGuarded { setGuard(behind: frame, order: order) }
        if active.contains(.owners) { noteAllocation(frame, order: order, flags) }
        noteBlock(frame, frameCount: 1 << UInt(order), flags)
        let block = finish(frame, order: order, active.contains(.zeroOnAllocation) ? flags | .zero : flags)
        if active.contains(.tracing), let block { traceAllocation(block, order: order, flags) }
        return block
    }

    /// Checks frames that have been taken out of their zones as a range, and notes their owner down.
    @inline(never)
    func checkSingleFrames(_ range: Range<PageFrameNumber>, _ flags: AllocationFlags) {
        let active = checks.active
        noteBlock(UInt32(truncatingIfNeeded: range.lowerBound.rawValue), frameCount: range.frameCount, flags)
        for frame in range.lowerBound.rawValue..<range.upperBound.rawValue {
            let number = UInt32(truncatingIfNeeded: frame)
            if active.contains(.poison) { verifyPoison(number, order: 0) }
            if active.contains(.owners) { noteAllocation(number, order: 0, flags) }
            if active.contains(.tracing) { traceAllocation(PageFrameNumber(frame), order: 0, flags) }
        }
    }

    /// Checks a block that has just become unused, and gives it back to its zone.
    @inline(never)
    func putChecked(_ frame: UInt32, order: Int) {
        let active = checks.active
        if active.contains(.tracing) { traceFree(PageFrameNumber(UInt(frame)), order: order) }
        noteBlockFree(frame, order: order)
        // The guard's frames go along with the block's.
        let whole = active.contains(.guardPages) && takeGuard(behind: frame, order: order) ? order + 1 : order
        if active.contains(.owners) { noteFree(frame, order: order) }
        if active.contains(.poison) {
            poison(frame, order: whole)
        } else if active.contains(.zeroOnFree) {
            _ = clear(PageFrameNumber(UInt(frame)), order: whole)
        }
        zone(of: PageFrameNumber(UInt(frame))).value.withState { state in state.free(frame, order: whole) }
    }

    // MARK: Poison

    /// Fills a block that is free, and that nobody can have yet, with the pattern of freed memory.
    private func poison(_ frame: UInt32, order: Int) {
        // The block is RAM that the caller has, and the direct map covers all RAM.
        unsafe FillPattern.freed.fill(
            directMap.pointer(to: PageFrameNumber(UInt(frame))), byteCount: Int(PageSize.byteCount) << order)
        checks.table.setPoisoned(true, frame, order: order)
    }

    /// Reports each frame of a block that was filled when it was freed and has been written since.
    @inline(never)
    private func verifyPoison(_ frame: UInt32, order: Int) {
        for number in frame..<frame + 1 << UInt32(order) where checks.table.isPoisoned(number) {
            let start = PageFrameNumber(UInt(number))
            // As above.
            let damage = unsafe FillPattern.freed.damage(
                to: directMap.pointer(to: start), byteCount: Int(PageSize.byteCount))
            guard let damage else { continue }
            P.report(
                MemoryViolation(
                    .writeAfterFree, in: "alloc_pages", at: start.address.rawValue + damage.offset,
                    from: start.address.rawValue,
                    damage.isSingleBit ? "one bit of a free frame has changed" : "a free frame has been written",
                    byte: damage.byte, byteCount: damage.byteCount))
        }
        checks.table.setPoisoned(false, frame, order: order)
    }
}
