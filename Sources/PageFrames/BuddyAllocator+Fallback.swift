// When page blocks of a request's own mobility have nothing left, others must help. To keep the rest of memory grouped,
// the largest free block is looked for, and with it a whole page block changes sides where at least half of it is free:
// what follows of the same mobility then fills that one, instead of a frame here and a frame there.
extension BuddyAllocator {
    /// Lets a page block of another mobility serve a request that those of its own cannot.
    ///
    /// - Returns: where a block of `order` can be taken now: the mobility to take it from, which is the request's own if
    ///   a page block changed sides; nil where no page block has a block of that order.
    /// - Complexity: O(orders).
    mutating func findFallback(order: Int, _ mobility: Mobility) -> Mobility? {
        guard let found = largestBlock(orderAtLeast: order, besides: mobility) else { return nil }
        // Movable frames can leave again: they may fill gaps in other page blocks, the smallest that do.
        if mobility == .movable, found.order < PageBlock.order {
            return smallestBlock(orderAtLeast: order, besides: mobility)
        }
        guard let number = firstBlock(order: found.order, found.mobility) else { return nil }
        let free = table.pageBlock(number).freeFrames
        if found.order >= PageBlock.order || free >= PageBlock.frameCount / 2 {
            convert(number, to: mobility)
            return mobility
        }
        return found.mobility
    }

    private mutating func largestBlock(orderAtLeast order: Int, besides mobility: Mobility) -> (
        order: Int, mobility: Mobility
    )? {
        var candidate = BlockOrder.highest
        while candidate >= order {
            if let found = fallback(order: candidate, of: mobility) { return (candidate, found) }
            candidate -= 1
        }
        return nil
    }

    private mutating func smallestBlock(orderAtLeast order: Int, besides mobility: Mobility) -> Mobility? {
        for candidate in order...BlockOrder.highest {
            if let found = fallback(order: candidate, of: mobility) { return found }
        }
        return nil
    }

    /// The first mobility, in the order in which they may help, with a free block of exactly `order`.
    private mutating func fallback(order: Int, of mobility: Mobility) -> Mobility? {
        let first: Mobility = mobility == .reclaimable ? .unmovable : .reclaimable
        let second: Mobility = mobility == .movable ? .unmovable : .movable
        if counts.blocks(order: order, first) > 0 { return first }
        if counts.blocks(order: order, second) > 0 { return second }
        return nil
    }
}
