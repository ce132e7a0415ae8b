// What page blocks are kept for, and what is free in those of each mobility.
extension BuddyAllocator {
    /// The lowest page block of `mobility` with a free block of exactly `order`, by its number.
    func firstBlock(order: Int, _ mobility: Mobility) -> UInt32? {
        index.first(order: order, mobility).map { $0 &+ firstBlock }
    }

    /// Keeps a page block for contents of another mobility from now on: its free blocks are found under that.
    ///
    /// Of a section that is wholly free both page blocks change. - Complexity: O(orders).
    mutating func convert(_ number: UInt32, to mobility: Mobility) {
        let before = place(number)
        if before.mobility == mobility { return }
        let isSection = before.block.isFreeSection
        setMobility(mobility, ofBlock: number)
        if isSection { setMobility(mobility, ofBlock: number | 1) }
        for order in 0...BlockOrder.highest {
            let count = before.block.blockCount(order: order)
            if count == 0 { continue }
            index.remove(number &- firstBlock, order: order, before.mobility)
            index.insert(number &- firstBlock, order: order, mobility)
            counts.addBlocks(-count, order: order, before.mobility)
            counts.addBlocks(count, order: order, mobility)
        }
        let free = isSection ? 2 * PageBlock.frameCount : before.block.freeFrames
        counts.addFrames(-Int(free), before.mobility)
        counts.addFrames(Int(free), mobility)
    }

    /// Notes down what a page block is kept for, and where its frames go when they are freed.
    mutating func setMobility(_ mobility: Mobility, ofBlock number: UInt32) {
        table.pageBlock(number).mobility = mobility
        table.setRings(FrameCacheLayout.rings(zone: zone, mobility), ofPageBlock: number)
    }

    // MARK: Figures

    /// The number of free blocks of `order`, of all mobilities. - Complexity: O(1).
    func blockCount(order: Int) -> UInt {
        var count: UInt = 0
        Mobility.forEach { count += counts.blocks(order: order, $0) }
        return count
    }

    /// Whether the index says that a page block has a free block of `order`, as one of `mobility`. For checks.
    func indexContains(_ number: UInt32, order: Int, _ mobility: Mobility) -> Bool {
        index.contains(number &- firstBlock, order: order, mobility)
    }

    /// Whether the index leads to a page block that has a free block of `order`. For checks.
    func indexLeads(to number: UInt32, order: Int, _ mobility: Mobility) -> Bool {
        index.leads(to: number &- firstBlock, order: order, mobility)
    }
}
