import MemoryPrimitives

extension ZoneState {
    /// Checks the free lists, the descriptors of every section in use, the deferred sections and the counts.
    ///
    /// - Complexity: O(managed frames). Under the zone's lock.
    func checkInvariants() throws(InvariantViolation) {
        let listed = try checkLists()
        try checkDeferred()
        let deferredFrames = deferred.sectionCount << Section.shift
        try expect(listed.frames + deferredFrames, freeFrames, "listed and deferred frames make up the free ones")
        if promisedFrames > freeFrames {
            throw InvariantViolation("promised frames are free", found: promisedFrames, expected: freeFrames)
        }
        if managedFrames == 0 { return }

        var managed = deferredFrames
        var freeBlocks: UInt = 0
        let endSection = (endFrame + Section.frameCount - 1) >> Section.shift
        for section in firstFrame >> Section.shift..<endSection where buddy.table.isInitialized(section: section) {
            try checkBlocks(ofSection: section, &managed, &freeBlocks)
        }
        try expect(managed, managedFrames, "free and allocated frames make up the managed ones")
        try expect(freeBlocks, listed.blocks, "every free block is in a list")
    }

    /// Walks the free lists. - Returns: how many blocks and frames are in them.
    private func checkLists() throws(InvariantViolation) -> (blocks: UInt, frames: UInt) {
        var blocks: UInt = 0
        var frames: UInt = 0
        for order in 0...BlockOrder.highest {
            let list = buddy.lists[order]
            let isMarked = buddy.nonEmptyOrders & 1 << UInt32(order) != 0
            if isMarked != (list.head != FrameDescriptor.none) {
                throw InvariantViolation("the mask names the lists that are not empty", at: UInt(order))
            }
            var count: UInt32 = 0
            var previous = FrameDescriptor.none
            var frame = list.head
            while frame != FrameDescriptor.none {
                let location = UInt(frame)
                guard let found = descriptor(location) else {
                    throw InvariantViolation("a free block's frame has a descriptor", at: location)
                }
                try expect(UInt(found.state.rawValue), 1, "a listed block is free", at: location)
                try expect(UInt(found.order), UInt(order), "a listed block has its list's order", at: location)
                try expect(location & (1 << UInt(order) - 1), 0, "a block is aligned to its size", at: location)
                try expect(UInt(found.previous), UInt(previous), "links lead there and back", at: location)
                if location < firstFrame || location + 1 << UInt(order) > endFrame {
                    throw InvariantViolation("a zone's free block lies in the zone", at: location)
                }
                if order < BlockOrder.highest, let buddy = descriptor(location ^ 1 << UInt(order)),
                    buddy.isHead(.freeHead, order: order)
                {
                    throw InvariantViolation("no two buddies are both free", at: location, found: UInt(order))
                }
                previous = frame
                frame = found.next
                count += 1
                if count > list.count { break }
            }
            try expect(UInt(count), UInt(list.count), "a list has as many blocks as are counted", at: UInt(order))
            blocks += UInt(count)
            frames += UInt(count) << UInt(order)
        }
        return (blocks, frames)
    }

    private func checkDeferred() throws(InvariantViolation) {
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

    /// Checks that a section is made up of whole blocks and of frames that nobody has.
    private func checkBlocks(
        ofSection section: UInt, _ managed: inout UInt, _ freeBlocks: inout UInt
    ) throws(InvariantViolation) {
        var frame = section << Section.shift
        let end = frame + Section.frameCount
        while frame < end {
            guard let head = descriptor(frame) else { return }
            if head.state == .reserved || head.state == .absent {
                frame += 1
                continue
            }
            if !head.state.isHead {
                throw InvariantViolation(
                    "a block begins where one ends", at: frame, found: UInt(head.state.rawValue))
            }
            let size: UInt = 1 << UInt(head.order)
            if Int(head.order) > BlockOrder.highest || frame & (size - 1) != 0 {
                throw InvariantViolation("a block is aligned to its size", at: frame, found: UInt(head.order))
            }
            let tail: FrameState = head.state == .slab ? .slabTail : .interior
            for index in frame + 1..<frame + size {
                guard let found = descriptor(index) else { return }
                try expect(
                    UInt(found.state.rawValue), UInt(tail.rawValue), "a block's other frames say so", at: index)
                if tail == .slabTail {
                    try expect(found.owner, head.owner, "every frame of a slab names its owner", at: index)
                }
            }
            if head.state == .freeHead { freeBlocks += 1 }
            managed += size
            frame += size
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
