import MemoryPrimitives

extension BuddyAllocator {
    /// What a walk over page blocks has found.
    struct Census {
        /// By mobility and order, 16 counts for each mobility.
        var blocks = InlineArray<96, UInt32>(repeating: 0)
        var freeFrames: UInt = 0
    }

    /// Checks a page block of this zone, and that the index knows of its free blocks.
    /// - Complexity: O(frames). Under the zone's lock.
    func checkInvariants(ofBlock number: UInt32, _ census: inout Census) throws(InvariantViolation) {
        let block = table.pageBlock(number)
        let location = UInt(number) << UInt(PageBlock.order)
        try block.checkInvariants(at: location)
        let isSection = block.orders & 1 << 10 != 0
        for order in 0...BlockOrder.highest {
            let count = order > PageBlock.order ? (isSection ? 1 : 0) : block.blockCount(order: order)
            census.blocks[Int(block.mobility.rawValue) << 4 + order] += UInt32(count)
            census.freeFrames += UInt(count) << UInt(order)
            for mobility in 0..<Mobility.count {
                guard let mobility = Mobility(rawValue: UInt8(mobility)) else { continue }
                if indexContains(number, order: order, mobility) != (mobility == block.mobility && count > 0) {
                    throw InvariantViolation(
                        "the index names the page blocks that have free blocks", at: location, found: UInt(order))
                }
            }
        }
    }

    /// Checks the counts against what a walk over all page blocks has found.
    func checkCounts(_ census: Census) throws(InvariantViolation) {
        for mobility in 0..<Mobility.count {
            guard let mobility = Mobility(rawValue: UInt8(mobility)) else { continue }
            var frames: UInt = 0
            for order in 0...BlockOrder.highest {
                let found = census.blocks[Int(mobility.rawValue) << 4 + order]
                frames += UInt(found) << UInt(order)
                if found != blockCount(order: order, mobility) {
                    throw InvariantViolation(
                        "free blocks are counted", at: UInt(order), found: UInt(blockCount(order: order, mobility)),
                        expected: UInt(found))
                }
            }
            if frames != freeFrames[Int(mobility.rawValue)] {
                throw InvariantViolation(
                    "free frames are counted by mobility", at: UInt(mobility.rawValue),
                    found: freeFrames[Int(mobility.rawValue)], expected: frames)
            }
        }
    }
}
