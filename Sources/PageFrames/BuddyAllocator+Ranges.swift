import MemoryPrimitives

extension BuddyAllocator {
    /// The first frame of `first ..< end`, in one section, that is not free; nil where all are.
    /// - Complexity: O(free blocks * orders).
    func firstFrameInUse(_ first: UInt32, _ end: UInt32) -> UInt32? {
        var frame = first
        while frame < end {
            guard let order = table.freeOrder(covering: PageFrameNumber(UInt(frame))) else { return frame }
            frame = (frame >> UInt32(order) &+ 1) << UInt32(order)
        }
        return nil
    }

    /// Takes the frames `first ..< end`, all of which are free and in one section. What of their blocks lies outside
    /// stays free. - Complexity: O(free blocks * orders).
    mutating func takeRange(_ first: UInt32, _ end: UInt32) {
        var frame = first
        while frame < end, let order = table.freeOrder(covering: PageFrameNumber(UInt(frame))) {
            let start = frame & ~(1 << UInt32(order) - 1)
            let next = start &+ 1 << UInt32(order)
            takeBlock(start, order: order)
            putRange(start, frame)
            if next > end { putRange(end, next) }
            frame = next
        }
    }

    /// Takes a certain free block.
    private mutating func takeBlock(_ frame: UInt32, order: Int) {
        let place = place(frame >> UInt32(PageBlock.order))
        counts.addFrames(-1 << order, place.mobility)
        if order <= PageBlock.order {
            remove(PageBlock.node(of: frame, order: order), order: order, place)
        } else {
            place.block.isFreeSection = false
            counts.addBlocks(-1, order: order, place.mobility)
            index.remove(place.number &- firstBlock, order: order, place.mobility)
        }
    }

    /// Makes frames of one section free, as the largest blocks that fit.
    private mutating func putRange(_ first: UInt32, _ end: UInt32) {
        var frame = first
        while frame < end {
            let fitting = UInt32.bitWidth - 1 - (end - frame).leadingZeroBitCount
            let order = min(frame.trailingZeroBitCount, fitting, BlockOrder.highest)
            put(frame, order: order)
            frame += 1 << UInt32(order)
        }
    }

    /// Merges the two page blocks of a section where both are wholly free and may be one block.
    mutating func mergeSection(_ section: UInt32) {
        let low = table.pageBlock(section << 1)
        let high = table.pageBlock(section << 1 | 1)
        if low.isFree(1), high.isFree(1), low.mobility.mergesWith(high.mobility) {
            put(take(order: PageBlock.order, fromBlock: section << 1), order: PageBlock.order)
        }
    }
}
