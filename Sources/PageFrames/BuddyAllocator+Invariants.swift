import MemoryPrimitives

extension BuddyAllocator {
    /// Checks a page block of this zone, and that the index knows of its free blocks.
    /// - Complexity: O(frames). Under the zone's lock.
    @inline(never)
    mutating func checkInvariants(ofBlock number: UInt32) throws(InvariantViolation) {
        let block = table.pageBlock(number)
        let location = UInt(number) << UInt(PageBlock.order)
        try block.checkInvariants(at: location)
        for order in 0...BlockOrder.highest {
            for group in 0..<Mobility.count {
                guard let mobility = Mobility(rawValue: UInt8(group)) else { continue }
                let isExpected = mobility == block.mobility && block.blockCount(order: order) != 0
                if indexContains(number, order: order, mobility) != isExpected
                    || isExpected && !indexLeads(to: number, order: order, mobility)
                {
                    throw InvariantViolation(
                        "the index names the page blocks that have free blocks", at: location, found: UInt(order))
                }
            }
        }
    }

    /// Checks the counts of one mobility against the page blocks `blocks`, all that the zone has.
    /// - Returns: the free frames. - Complexity: O(page blocks). Under the zone's lock.
    @inline(never)
    mutating func checkCounts(_ mobility: Mobility, in blocks: Range<UInt32>) throws(InvariantViolation) -> UInt {
        var found = InlineArray<11, UInt>(repeating: 0)
        for number in blocks where table.isInitialized(section: UInt(number >> 1)) {
            let block = table.pageBlock(number)
            if block.mobility != mobility { continue }
            for order in 0...BlockOrder.highest { found[order] += UInt(block.blockCount(order: order)) }
        }
        var frames: UInt = 0
        for order in 0...BlockOrder.highest {
            frames += found[order] << UInt(order)
            if found[order] != counts.blocks(order: order, mobility) {
                throw InvariantViolation(
                    "free blocks are counted", at: UInt(order), found: counts.blocks(order: order, mobility),
                    expected: found[order])
            }
        }
        for order in 0...BlockOrder.highest where index.leadsAstray(order: order, mobility) {
            throw InvariantViolation(
                "the index leads to what is there", at: UInt(mobility.rawValue), found: UInt(order))
        }
        if mobility.rawValue >= Mobility.contiguous.rawValue, frames != counts.setAsideFrames(mobility) {
            throw InvariantViolation(
                "free frames that are set aside are counted", at: UInt(mobility.rawValue),
                found: counts.setAsideFrames(mobility),
                expected: frames)
        }
        return frames
    }
}
