import MemoryPrimitives
import Synchronization

// Any range of frames at all, such as a buffer larger than the largest block. It is put together like this:
//
//     bring deferred sections into use, look for what can never be had   (nothing has changed yet)
//     isolate the sections: what is free there is handed out no longer
//     give back what the frame caches hold
//     section by section: move what is in use elsewhere, take the frames
//     end the isolation
//
// On failure the frames that were taken are free again, and the isolation ends. What was moved stays where it is now: as
// many frames are free as before.
extension PageFrameAllocator {
    /// Allocates the frames of `range`, as blocks of one frame with one reference each. Linux's `alloc_contig_range`.
    ///
    /// What is in use in the range is moved elsewhere, by its owner's `FrameMover`. What nobody moves, has more than one
    /// reference, or is a slab or a page table is busy. Promises are kept.
    ///
    /// - Parameters:
    ///   - range: any frames of any zones.
    ///   - flags: with `.directReclaim` contents are moved, for which the call must be allowed to wait, and shrinkers
    ///     may be asked; without, what is in use is busy. `.zero` clears the frames. The zone is that of the range.
    /// - Throws: the first thing that stands in the way; as many frames are free as before.
    /// - Complexity: O(frames), and copying what is moved.
    public func allocateContiguous(
        _ range: Range<PageFrameNumber>, flags: AllocationFlags = .kernel
    ) throws(ContiguousError) {
        let flags = flagsForMoving(flags)
        try check(range)
        try isolate(range)
        drainFrameCaches()
        do throws(ContiguousError) {
            try take(range, flags)
        } catch {
            rejoin(range)
            throw error
        }
        if checks.areActive { checkSingleFrames(range, flags) }
        markSingleFrames(range.lowerBound, count: range.frameCount)
        rejoin(range)
        if flags.contains(.zero) || checks.active.contains(.zeroOnAllocation) {
            // RAM that is the caller's from here on, and that the direct map covers.
            unsafe P.clearPages(directMap.pointer(to: range.lowerBound), count: Int(range.frameCount))
        }
    }

    /// Frees frames that `allocateContiguous` or `allocateContiguousArea` returned, all or a part of them.
    ///
    /// A frame among them that is not a block of one frame is an error: the first is reported, and nothing changes. One
    /// that has more references stays until the last one goes.
    ///
    /// - Returns: false for an error.
    /// - Complexity: O(frames).
    @discardableResult
    public func freeContiguous(_ range: Range<PageFrameNumber>) -> Bool {
        freeSingleFrames(range.lowerBound, range.upperBound, in: "free_contig_range")
    }

    private func flagsForMoving(_ flags: AllocationFlags) -> AllocationFlags {
        if mayProceed(flags) { return flags }
        P.report(
            MemoryViolation(
                .waitInAtomicContext, in: "alloc_contig_range", at: UInt(flags.rawValue),
                "an interrupt handler or the holder of a spin lock asked so for a range of frames"))
        return AllocationFlags(rawValue: flags.rawValue & ~AllocationFlags.directReclaim.rawValue)
    }

    /// Looks for what can never be had, in sections that are brought into use.
    private func check(_ range: Range<PageFrameNumber>) throws(ContiguousError) {
        if range.isEmpty { throw .emptyRange }
        let end = PageFrameNumber(table.sectionCount << Section.shift)
        if range.upperBound > end { throw .outsideMemory(max(range.lowerBound, end)) }
        for piece in range.pieces {
            let part = range.piece(piece)
            let isThere = zone(of: part.first).value.withState { state in state.bringIn(section: piece) }
            if !isThere { throw .hole(part.first) }
            for frame in part.first.rawValue..<part.end.rawValue {
                // The section has descriptors.
                let descriptor = unsafe table.knownDescriptor(of: UInt32(truncatingIfNeeded: frame))
                switch FrameUse(unsafe descriptor.use.pointee.load(ordering: .relaxed)).state {
                case .absent: throw .hole(PageFrameNumber(frame))
                case .reserved: throw .reserved(PageFrameNumber(frame))
                case .slab, .slabTail, .table: throw .busy(PageFrameNumber(frame))
                default: continue
                }
            }
        }
    }

    private func isolate(_ range: Range<PageFrameNumber>) throws(ContiguousError) {
        for piece in range.pieces {
            let first = range.piece(piece).first
            switch zone(of: first).value.withState({ state in state.isolate(section: piece) }) {
            case .isolated: continue
            case .busy:
                rejoin(range, before: piece)
                throw .busy(first)
            case .promised:
                rejoin(range, before: piece)
                throw .promised
            }
        }
    }

    /// Ends the isolation of the range's sections, or of those before a certain one.
    private func rejoin(_ range: Range<PageFrameNumber>, before end: UInt = .max) {
        for piece in range.pieces where piece < end {
            zone(of: range.piece(piece).first).value.withState { state in state.rejoin(section: piece) }
        }
    }

    /// Takes all frames of the range, section by section, or none.
    private func take(_ range: Range<PageFrameNumber>, _ flags: AllocationFlags) throws(ContiguousError) {
        for piece in range.pieces {
            let part = range.piece(piece)
            do throws(ContiguousError) {
                try take(part.first, part.end, flags)
            } catch {
                putUnused(range.lowerBound, part.first)
                throw error
            }
        }
    }

    /// Takes frames of one isolated section, after moving out what is in use.
    private func take(
        _ first: PageFrameNumber, _ end: PageFrameNumber, _ flags: AllocationFlags
    ) throws(ContiguousError) {
        let firstNumber = UInt32(truncatingIfNeeded: first.rawValue)
        let endNumber = UInt32(truncatingIfNeeded: end.rawValue)
        var attempts = 0
        while true {
            let inUse = zone(of: first).value.withState { state in state.takeRange(firstNumber, endNumber) }
            guard let inUse else { return }
            var next = PageFrameNumber(UInt(inUse))
            // What has become free stays so: the section is isolated.
            while next < end {
                guard try vacate(next, flags) else {
                    // Free a moment ago, or on its way between a frame cache and the zone.
                    attempts += 1
                    if attempts > 1000 { throw .busy(next) }
                    drainFrameCaches()
                    P.relax()
                    break
                }
                let found = zone(of: first).value.withState { state in
                    state.buddy.firstFrameInUse(UInt32(truncatingIfNeeded: next.rawValue), endNumber)
                }
                next = found.map { PageFrameNumber(UInt($0)) } ?? end
            }
        }
    }

    /// Has the block that `frame` lies in moved elsewhere, and frees it.
    /// - Returns: false where there is no such block (any more).
    private func vacate(_ frame: PageFrameNumber, _ flags: AllocationFlags) throws(ContiguousError) -> Bool {
        guard let found = block(covering: frame) else { return false }
        guard let descriptor = unsafe table.descriptor(of: found.head), flags.mayWait else { throw .busy(frame) }
        // The table's own descriptor, which is never given back.
        let use = FrameUse(unsafe descriptor.use.pointee.load(ordering: .acquiring))
        if use.bits == FrameDescriptor.unused { return false }
        if !use.isReferenced || use.count > 1 { throw .busy(frame) }

        let isCompound = use.state == .compoundHead
        guard let new = allocate(order: use.order, flags: flags.movedTo(ZoneKind(of: frame), isCompound: isCompound))
        else { throw .outOfMemory(frame) }
        if movers.move(from: found.head, to: new, order: use.order) {
            // Nobody else's any more: the owner has left, and with it what it had noted down here.
            _ = unsafe descriptor.use.pointee.bitwiseAnd(~FrameUse.tagMask, ordering: .relaxed)
            if !dropReference(found.head, order: use.order) {
                reportMisuse(of: found.head, order: use.order, in: "move")
            }
            return true
        }
        free(new, order: use.order)
        // Whoever had it may have freed it meanwhile.
        if unsafe descriptor.use.pointee.load(ordering: .acquiring) == use.bits { throw .busy(frame) }
        return false
    }
}

extension AllocationFlags {
    /// How memory is asked for to which contents of a zone are moved: in no higher zone, because the owner may need it so.
    fileprivate func movedTo(_ zone: ZoneKind, isCompound: Bool) -> AllocationFlags {
        let where_ = AllocationFlags.dma | .dma32 | .zero | .compound | .reclaimable | .noFail
        var flags = AllocationFlags(rawValue: rawValue & ~where_.rawValue) | .movable | .noWarn
        if zone == .dma { flags = flags | .dma }
        if zone == .dma32 { flags = flags | .dma32 }
        return isCompound ? flags | .compound : flags
    }
}

extension Range<PageFrameNumber> {
    var frameCount: UInt { upperBound.rawValue - lowerBound.rawValue }

    /// The sections that the range, which is not empty, touches.
    fileprivate var pieces: ClosedRange<UInt> {
        lowerBound.rawValue >> Section.shift...(upperBound.rawValue - 1) >> Section.shift
    }

    /// The part of the range in a section.
    fileprivate func piece(_ section: UInt) -> (first: PageFrameNumber, end: PageFrameNumber) {
        (
            Swift.max(lowerBound, PageFrameNumber(section << Section.shift)),
            Swift.min(upperBound, PageFrameNumber((section + 1) << Section.shift))
        )
    }
}
