import MemoryPrimitives

extension ZoneState {
    /// Checks the page blocks, the descriptors of every section in use, the deferred sections and the counts.
    ///
    /// - Returns: the frames that are neither free nor in use: those in frame caches, or on their way to or from one.
    /// - Complexity: O(managed frames). Under the zone's lock. Changes nothing; `mutating` passes the state by address.
    mutating func checkInvariants() throws(InvariantViolation) -> UInt {
        try checkDeferred()
        let deferredFrames = deferred.sectionCount << Section.shift
        if promisedFrames > freeFrames {
            throw InvariantViolation("promised frames are free", found: promisedFrames, expected: freeFrames)
        }
        if watermarks.min > watermarks.low || watermarks.low > watermarks.high {
            throw InvariantViolation("the watermarks ascend", found: watermarks.low, expected: watermarks.min)
        }
        let forAll = freeFrames - buddy.counts.setAsideFrames(.contiguous) - buddy.counts.setAsideFrames(.isolated)
        if promisedFrames > forAll {
            throw InvariantViolation("promised frames can serve any request", found: promisedFrames, expected: forAll)
        }
        if managedFrames == 0 { return 0 }

        var frames = Frames()
        let firstSection = firstFrame >> Section.shift
        let endSection = (endFrame + Section.frameCount - 1) >> Section.shift
        for section in firstSection..<endSection where buddy.table.isInitialized(section: section) {
            try buddy.checkInvariants(ofBlock: UInt32(section << 1))
            try buddy.checkInvariants(ofBlock: UInt32(section << 1 | 1))
            try checkDescriptors(ofSection: section, &frames)
        }
        var counted: UInt = 0
        for group in 0..<Mobility.count {
            guard let mobility = Mobility(rawValue: UInt8(group)) else { continue }
            counted += try buddy.checkCounts(mobility, in: UInt32(firstSection << 1)..<UInt32(endSection << 1))
        }
        try expect(counted + deferredFrames, freeFrames, "free and deferred frames make up the free ones")
        try expect(frames.free, counted, "every free frame is without an owner")
        try expect(
            frames.free + frames.inUse + frames.elsewhere + deferredFrames, managedFrames,
            "free, used and cached frames make up the managed ones")
        return frames.elsewhere
    }

    @inline(never)
    private mutating func checkDeferred() throws(InvariantViolation) {
        var sections: UInt = 0
        var end: UInt32 = 0
        try deferred.forEach { (run) throws(InvariantViolation) in
            if run.start < end || run.start >= run.end {
                throw InvariantViolation("runs of deferred sections ascend", at: UInt(run.start), found: UInt(run.end))
            }
            for section in run.start..<run.end where buddy.table.isInitialized(section: UInt(section)) {
                throw InvariantViolation("a deferred section has no descriptors", at: UInt(section))
            }
            end = run.end
            sections += run.count
        }
        try expect(sections, deferred.sectionCount, "the runs' sections are counted")
        if deferred.sectionCount > UInt(descriptors.remaining) {
            throw InvariantViolation(
                "there is room for every deferred section's descriptors", found: UInt(descriptors.remaining),
                expected: deferred.sectionCount)
        }
    }

    /// Frames counted one by one.
    private struct Frames {
        var free: UInt = 0
        var inUse: UInt = 0
        /// Neither: in a frame cache.
        var elsewhere: UInt = 0
    }

    /// Checks that a section is made up of whole blocks in use, and of frames that nobody has.
    @inline(never)
    private mutating func checkDescriptors(ofSection section: UInt, _ frames: inout Frames) throws(InvariantViolation) {
        var frame = section << Section.shift
        let end = frame + Section.frameCount
        while frame < end {
            guard let head = descriptor(frame) else { return }
            let isFree = buddy.table.freeOrder(covering: PageFrameNumber(frame)) != nil
            if isFree, head.state != .interior {
                throw InvariantViolation("a free frame is not in use", at: frame, found: UInt(head.state.rawValue))
            }
            switch head.state {
            case .interior:
                frames.free += isFree ? 1 : 0
                frames.elsewhere += isFree ? 0 : 1
                frame += 1
            case .reserved, .absent:
                frame += 1
            default:
                try checkBlock(head, at: frame)
                frames.inUse += 1 << UInt(head.order)
                frame += 1 << UInt(head.order)
            }
        }
    }

    /// Checks a block in use.
    @inline(never)
    private mutating func checkBlock(_ head: FrameDescriptor, at frame: UInt) throws(InvariantViolation) {
        if !head.state.isHead {
            throw InvariantViolation("a block begins where one ends", at: frame, found: UInt(head.state.rawValue))
        }
        let size: UInt = 1 << UInt(head.order)
        if Int(head.order) > BlockOrder.highest || frame & (size - 1) != 0 {
            throw InvariantViolation("a block is aligned to its size", at: frame, found: UInt(head.order))
        }
        let tail: FrameState = head.state == .slab ? .slabTail : .interior
        for index in frame + 1..<frame + size {
            guard let found = descriptor(index) else { return }
            try expect(UInt(found.state.rawValue), UInt(tail.rawValue), "a block's other frames say so", at: index)
            if tail == .slabTail {
                try expect(found.owner, head.owner, "every frame of a slab names its owner", at: index)
            }
            if buddy.table.freeOrder(covering: PageFrameNumber(index)) != nil {
                throw InvariantViolation("a block in use has no free frame", at: index)
            }
        }
    }

    private func descriptor(_ frame: UInt) -> FrameDescriptor? {
        guard let descriptor = unsafe buddy.table.descriptor(of: PageFrameNumber(frame)) else { return nil }
        // The table's own descriptor; the lock is held.
        return unsafe descriptor.pointee
    }

    private func expect(
        _ found: UInt, _ expected: UInt, _ rule: StaticString, at location: UInt = 0
    ) throws(InvariantViolation) {
        if found != expected {
            throw InvariantViolation(rule, at: location, found: found, expected: expected)
        }
    }
}
