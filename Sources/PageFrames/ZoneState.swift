import MemoryPrimitives

/// What changes in a zone, all of it under the zone's lock.
///
///     free = frames in the buddy + the held block's + frames in deferred sections
///     promised <= free; ordinary allocations leave the promised frames alone
struct ZoneState: ~Copyable {
    var buddy: BuddyAllocator
    var deferred: DeferredSections
    var descriptors: DescriptorPool

    /// Frames that are handed out or free: all that bring-up found free.
    private(set) var managedFrames: UInt = 0
    var freeFrames: UInt = 0
    var promisedFrames: UInt = 0

    /// A block that was freed and is not merged yet: see ZoneState+HeldBlock.swift.
    var held = HeldBlock.none
    /// The first frame beyond the page block that was chosen last: what lies there or above is not held.
    var heldLimit: UInt32 = 0

    /// How many frames ordinary requests must leave. Set at bring-up, when the size of all zones is known.
    var watermarks = Watermarks()

    /// The managed frames lie in `firstFrame ..< endFrame`; both are 0 in an empty zone.
    private(set) var firstFrame: UInt = 0
    private(set) var endFrame: UInt = 0

    /// Blocks handed out and taken back, past the frame caches, and requests that could not be served.
    var allocations: UInt = 0
    var frees: UInt = 0
    private(set) var failures: UInt = 0

    init(
        buddy: consuming BuddyAllocator, deferred: consuming DeferredSections, descriptors: consuming DescriptorPool
    ) {
        self.buddy = buddy
        self.deferred = deferred
        self.descriptors = descriptors
    }

    /// Whether a request may have its block, and `more` frames besides. Promised frames do not count, and neither do
    /// those that are being made contiguous.
    @inline(__always)
    func canSpare(_ request: ZoneRequest, more: UInt = 0) -> Bool {
        let kept = promisedFrames &+ more &+ buddy.counts.setAsideFrames(.isolated)
        let notForIt = request.mobility == .movable ? 0 : buddy.counts.setAsideFrames(.contiguous)
        return watermarks.isAbove(
            request.mark, free: freeFrames, unusable: kept &+ notForIt, order: request.order,
            highestZone: request.highestZone, flags: request.flags)
    }

    /// How many frames are missing above the high mark.
    var framesBelowHigh: UInt {
        let free = freeFrames - min(promisedFrames, freeFrames)
        return free < watermarks[.high] ? watermarks[.high] - free : 0
    }

    /// Free frames that may be promised: they can serve any request, are not kept in reserve, and nobody else was
    /// promised them.
    var promisableFrames: UInt { promisableFrames(more: 0) }

    /// The same, if `more` frames were free.
    func promisableFrames(more: UInt) -> UInt {
        let kept =
            promisedFrames + watermarks.min + buddy.counts.setAsideFrames(.contiguous)
            + buddy.counts.setAsideFrames(.isolated)
        return freeFrames + more > kept ? freeFrames + more - kept : 0
    }

    /// A block for a request, where the watermarks allow it; nil where there is none. - Complexity: O(orders).
    mutating func allocate(_ request: ZoneRequest) -> UInt32? {
        if canSpare(request), let frame = take(order: request.order, request.mobility) {
            allocations &+= 1
            return frame
        }
        failures &+= 1
        return nil
    }

    /// One of the promised frames; nil where the zone has promised none. - Complexity: O(orders).
    mutating func allocatePromised() -> UInt32? {
        // At least as many frames are free as are promised, so that order 0 finds one.
        guard promisedFrames > 0, let frame = take(order: 0, .unmovable) else { return nil }
        promisedFrames &-= 1
        allocations &+= 1
        return frame
    }

    /// A block of promised frames; nil where there is none, or not so many are promised. - Complexity: O(orders).
    mutating func allocatePromised(order: Int) -> UInt32? {
        let count = UInt(1) &<< UInt(bitPattern: order)
        guard promisedFrames >= count, let frame = take(order: order, .unmovable) else { return nil }
        promisedFrames &-= count
        allocations &+= 1
        return frame
    }

    /// Takes back a block that was in use. - Complexity: O(orders).
    mutating func free(_ frame: UInt32, order: Int) {
        buddy.put(frame, order: order)
        freeFrames &+= 1 << UInt(bitPattern: order)
        frees &+= 1
    }

    // MARK: Frame caches

    /// Fills an empty ring with a batch of blocks, the lowest on top, where the watermarks allow it.
    /// - Returns: false where there is none to be had.
    @inline(never)
    mutating func refill(_ ring: inout FrameRing, for request: ZoneRequest) -> Bool {
        let batch = Int(min(ring.batch, ring.high))
        if canSpare(request, more: UInt(batch &- 1) << UInt(request.order)), mayTakeBatch(batch, request),
            refill(&ring, batch, request)
        {
            return true
        }
        guard canSpare(request), let frame = take(order: request.order, request.mobility) else {
            failures &+= 1
            return false
        }
        ring.push(frame)
        ring.setLimit(from: frame)
        return true
    }

    /// False where movable contents had better come from the contiguous area: see `takeMovable`.
    @inline(__always)
    private func mayTakeBatch(_ batch: Int, _ request: ZoneRequest) -> Bool {
        if request.mobility != .movable || buddy.counts.setAsideFrames(.contiguous) == 0 { return true }
        return buddy.counts.setAsideFrames(.contiguous) <= freeFrames / 2
            && canTakeMovable(frames: UInt(batch) << UInt(request.order))
    }

    /// Takes blocks out of page blocks of the request's own mobility. - Returns: false where they have none.
    private mutating func refill(_ ring: inout FrameRing, _ batch: Int, _ request: ZoneRequest) -> Bool {
        var place = batch
        var last: UInt32 = 0
        // Half a batch is enough: to fill it up from the next larger block would leave that one in pieces.
        while place > batch / 2 {
            let end = place
            let taken = buddy.takeRun(order: request.order, request.mobility, upTo: place) { frame, index in
                // Below the batch, which is at most the ring's capacity.
                unsafe ring.frames[unchecked: end &- 1 &- index] = frame
            }
            if taken == 0 { break }
            place &-= taken
            last = max(last, ring.frames[place])
        }
        if place == batch { return false }
        // What was found lies at the top of the batch's place.
        if place > 0 { for index in place..<batch { ring.frames[index - place] = ring.frames[index] } }
        ring.count = UInt32(truncatingIfNeeded: batch &- place)
        ring.setLimit(from: last)
        freeFrames &-= UInt(batch &- place) << UInt(request.order)
        return true
    }

    /// Takes back the `number` coldest blocks of a ring. A function of its own, so that its loop has the registers to itself.
    @inline(never)
    mutating func drain(_ ring: inout FrameRing, _ number: Int, order: Int) {
        ring.removeColdest(number) { frame in buddy.putCached(frame, order: order) }
        freeFrames &+= UInt(bitPattern: number) &<< UInt(bitPattern: order)
    }

    // MARK: Taking

    @inline(__always)
    private mutating func take(order: Int, _ mobility: Mobility) -> UInt32? {
        guard
            let frame = mustChoose(mobility)
                ? takeMovable(order: order)
                : buddy.take(order: order, mobility) ?? takeElsewhere(order: order, mobility)
        else { return nil }
        noteChoice(frame)
        freeFrames &-= 1 << UInt(bitPattern: order)
        return frame
    }

    /// True for movable contents where there is a contiguous area: see `takeMovable`.
    @inline(__always)
    func mustChoose(_ mobility: Mobility) -> Bool {
        mobility == .movable && buddy.counts.setAsideFrames(.contiguous) > 0
    }

    /// Movable contents, where there is a contiguous area that only they can use: they go there when it has more than
    /// half of what is free, so that the rest is not used up before it, and when all the rest is promised.
    @inline(never)
    private mutating func takeMovable(order: Int) -> UInt32? {
        let mayTakeOthers = canTakeMovable(frames: 1 << UInt(order))
        if !mayTakeOthers || buddy.counts.setAsideFrames(.contiguous) > freeFrames / 2,
            let frame = buddy.take(order: order, .contiguous)
        {
            return frame
        }
        return mayTakeOthers ? buddy.take(order: order, .movable) ?? takeElsewhere(order: order, .movable) : nil
    }

    /// Whether movable contents may have that many frames outside of contiguous areas: those are what promises stand on.
    private func canTakeMovable(frames: UInt) -> Bool {
        let usable = freeFrames &- buddy.counts.setAsideFrames(.contiguous) &- buddy.counts.setAsideFrames(.isolated)
        return usable >= promisedFrames &+ frames
    }

    /// When page blocks of the request's own mobility have nothing: contiguous ones, for what can be moved out again;
    /// memory that nobody has used yet; and page blocks of other mobilities.
    @inline(never)
    private mutating func takeElsewhere(order: Int, _ mobility: Mobility) -> UInt32? {
        if mobility == .movable, let frame = buddy.take(order: order, .contiguous) { return frame }
        if bringInDeferredSection(for: mobility) { return buddy.take(order: order, mobility) }
        guard let from = buddy.findFallback(order: order, mobility) else { return nil }
        return buddy.take(order: order, from)
    }

    /// Brings a deferred section into use as one free block. - Returns: false when there is none left.
    ///
    /// - Complexity: O(frames in a section): 16 KiB are written.
    private mutating func bringInDeferredSection(for mobility: Mobility) -> Bool {
        guard let section = deferred.takeFirst() else { return false }
        bringIn(section: section, as: .interior, mobility)
        buddy.put(UInt32(truncatingIfNeeded: section << Section.shift), order: BlockOrder.highest)
        return true
    }

    mutating func bringIn(section: UInt, as state: FrameState, _ mobility: Mobility) {
        // The pool's memory is nobody else's.
        unsafe buddy.table.initialize(section: section, in: descriptors.take(), as: state, mobility)
        let first = UInt32(truncatingIfNeeded: section << 1)
        buddy.setMobility(mobility, ofBlock: first)
        buddy.setMobility(mobility, ofBlock: first | 1)
    }
}

// MARK: Bring-up

extension ZoneState {
    /// Takes over the free frames `first ..< end`, which lie in the zone and above all that were handed over before.
    ///
    /// Whole sections are only noted down as deferred. Others are brought into use, with the frames that are not handed
    /// over `absent`. Frames for whose descriptors there is no room are left out.
    /// - Complexity: O(sections + partial sections * frames in a section).
    mutating func handOver(_ first: UInt, _ end: UInt) {
        var frame = first
        while frame < end {
            let section = frame >> Section.shift
            let room = UInt(descriptors.remaining) - deferred.sectionCount
            var pieceEnd = min(end, (section + 1) << Section.shift)
            let wholeCount = frame & (Section.frameCount - 1) == 0 ? min((end - frame) >> Section.shift, room) : 0
            let run = SectionRun(start: UInt32(section), end: UInt32(section + wholeCount))
            if wholeCount > 0, deferred.append(run) {
                pieceEnd = UInt(run.end) << Section.shift
                count(frame, pieceEnd)
            } else if room > 0 || buddy.table.isInitialized(section: section) {
                if !buddy.table.isInitialized(section: section) { bringIn(section: section, as: .absent, .movable) }
                insert(frame, pieceEnd)
                count(frame, pieceEnd)
            }
            frame = pieceEnd
        }
    }

    /// Counts free frames as managed.
    private mutating func count(_ first: UInt, _ end: UInt) {
        if managedFrames == 0 { firstFrame = first }
        endFrame = end
        managedFrames += end - first
        freeFrames += end - first
    }

    /// Puts the frames, all in one section that has descriptors, into the free lists as the largest blocks that fit.
    private mutating func insert(_ first: UInt, _ end: UInt) {
        var frame = first
        while frame < end {
            let fitting = UInt.bitWidth - 1 - (end - frame).leadingZeroBitCount
            let order = min(frame.trailingZeroBitCount, fitting, BlockOrder.highest)
            for index in frame..<frame + 1 << UInt(order) {
                // The section has descriptors and this frame is not in use.
                unsafe buddy.table.knownDescriptor(of: UInt32(index)).pointee = FrameDescriptor(.interior)
            }
            buddy.put(UInt32(frame), order: order)
            frame += 1 << UInt(order)
        }
    }
}
