import MemoryPrimitives

/// What changes in a zone, all of it under the zone's lock.
///
///     free = frames in the buddy's lists + frames in deferred sections
///     promised <= free; ordinary allocations leave the promised frames alone
struct ZoneState: ~Copyable {
    var buddy: BuddyAllocator
    var deferred: DeferredSections
    var descriptors: DescriptorPool

    /// Frames that are handed out or free: all that bring-up found free.
    private(set) var managedFrames: UInt = 0
    private(set) var freeFrames: UInt = 0
    var promisedFrames: UInt = 0

    /// The managed frames lie in `firstFrame ..< endFrame`; both are 0 in an empty zone.
    private(set) var firstFrame: UInt = 0
    private(set) var endFrame: UInt = 0

    private(set) var allocations: UInt = 0
    private(set) var frees: UInt = 0
    private(set) var failures: UInt = 0

    init(
        table: FrameTable, deferred: consuming DeferredSections, descriptors: consuming DescriptorPool
    ) {
        buddy = BuddyAllocator(table: table)
        self.deferred = deferred
        self.descriptors = descriptors
    }

    /// A block of `order` that is not promised to others; nil where there is none. - Complexity: O(orders).
    @inline(__always)
    mutating func allocate(order: Int) -> UInt32? {
        let unpromised = freeFrames &- promisedFrames
        if unpromised >= 1 << UInt(bitPattern: order), let frame = take(order: order) { return frame }
        failures &+= 1
        return nil
    }

    /// One of the promised frames; nil where the zone has promised none. - Complexity: O(orders).
    mutating func allocatePromised() -> UInt32? {
        // At least as many frames are free as are promised, so that order 0 finds one.
        guard promisedFrames > 0, let frame = take(order: 0) else { return nil }
        promisedFrames &-= 1
        return frame
    }

    /// Takes back a block, or says what is wrong with that and changes nothing. - Complexity: O(orders).
    @inline(__always)
    mutating func free(_ frame: PageFrameNumber, order: Int) -> MemoryViolation? {
        guard let descriptor = unsafe buddy.table.descriptor(of: frame),
            // The table's own descriptor.
            unsafe descriptor.pointee.isHead(.allocatedHead, order: order)
        else { return buddy.table.diagnoseFree(frame, order: order) }
        buddy.put(UInt32(truncatingIfNeeded: frame.rawValue), order: order)
        freeFrames &+= 1 << UInt(bitPattern: order)
        frees &+= 1
        return nil
    }

    @inline(__always)
    private mutating func take(order: Int) -> UInt32? {
        if !buddy.canServe(order: order), !bringInDeferredSection() { return nil }
        guard let frame = buddy.take(order: order) else { return nil }
        freeFrames &-= 1 << UInt(bitPattern: order)
        allocations &+= 1
        return frame
    }

    /// Brings a deferred section into use as one free block. - Returns: false when there is none left.
    ///
    /// - Complexity: O(frames in a section): 16 KiB are written.
    @inline(never)
    private mutating func bringInDeferredSection() -> Bool {
        guard let section = deferred.takeFirst() else { return false }
        bringIn(section: section, as: .interior)
        buddy.put(UInt32(truncatingIfNeeded: section << Section.shift), order: BlockOrder.highest)
        return true
    }

    private mutating func bringIn(section: UInt, as state: FrameState) {
        // The pool's memory is nobody else's.
        unsafe buddy.table.initialize(section: section, in: descriptors.take(), as: state)
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
                if !buddy.table.isInitialized(section: section) { bringIn(section: section, as: .absent) }
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
