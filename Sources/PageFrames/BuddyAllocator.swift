import MemoryPrimitives

/// Binary buddies: free blocks of 2^order frames, each aligned to its size.
///
///     free block of order n  --split-->  two buddies of order n-1, one handed on, one free
///     free block of order n  <--merge--  two free buddies of order n-1
///
/// Up to order 9 a free block is a bit of its page block's tree; a section that is wholly free is noted down with its
/// first page block. An index over the page blocks finds the lowest that can serve a request. So the choice is: a block
/// of just the right order, the lowest one; else the lowest page block that has a larger one. Allocating from the low
/// end lets page blocks at the high end empty, and keeps large blocks together without ever moving a frame.
///
/// Not safe by itself: the zone's lock protects it.
struct BuddyAllocator: ~Copyable {
    let table: FrameTable
    let index: FreeIndex
    /// The first page block of the zone, from which the index counts.
    let firstBlock: UInt32
    /// The zone's number, which chooses the rings of the frame caches.
    private let zone: Int

    /// How much is free. What changes stands behind pointers: this value is small, and moves cheaply.
    let counts: FreeCounts

    init(
        table: FrameTable, index: consuming FreeIndex, counts: consuming FreeCounts, firstBlock: UInt32, zone: Int
    ) {
        self.table = table
        self.index = index
        self.counts = counts
        self.firstBlock = firstBlock
        self.zone = zone
    }

    // MARK: Taking

    /// Takes a block of `order` out of page blocks of `mobility`, splitting a larger one if need be; nil where there is
    /// none. No descriptor is touched. - Complexity: O(orders).
    @inline(__always)
    mutating func take(order: Int, _ mobility: Mobility) -> UInt32? {
        guard let block = index.first(order: order, mobility) ?? index.first(orderAtLeast: order, mobility) else {
            return nil
        }
        return take(order: order, from: block, mobility)
    }

    /// Takes blocks of `order` and calls `body` with each, lowest first: as many as lie together, up to `count`.
    /// - Returns: how many; 0 where there is none. - Complexity: O(orders + count).
    mutating func takeRun(order: Int, _ mobility: Mobility, upTo count: Int, _ body: (UInt32) -> Void) -> Int {
        if order < PageBlock.order, let block = index.first(order: order, mobility) {
            var wanted = count
            let number = firstBlock &+ block
            let start = number << UInt32(PageBlock.order)
            let isEmpty = table.pageBlock(number).removeFirst(&wanted, order: order) { node in
                body(start | PageBlock.frame(of: node, order: order))
            }
            if isEmpty { index.remove(block, order: order, mobility) }
            let taken = count &- wanted
            counts.addBlocks(-taken, order: order, mobility)
            counts.addFrames(-taken &<< order, mobility)
            return taken
        }
        // A larger block, no larger than what is wanted where it can be split.
        guard let block = index.first(orderAtLeast: order, mobility) else { return 0 }
        let found = smallestOrder(atLeast: order, in: block)
        let whole = min(found, order &+ (Int.bitWidth &- 1 &- count.leadingZeroBitCount))
        let frame = take(order: whole, from: block, mobility)
        let pieces = 1 << (whole &- order)
        for piece in 0..<pieces { body(frame &+ UInt32(truncatingIfNeeded: piece << order)) }
        return pieces
    }

    /// The number of free blocks of `order`, of all mobilities. - Complexity: O(1).
    func blockCount(order: Int) -> UInt {
        var count: UInt = 0
        Mobility.forEach { count += counts.blocks(order: order, $0) }
        return count
    }

    /// Makes a node of a page block's tree a free block.
    @inline(__always)
    private mutating func insert(
        _ node: UInt32, order: Int, into pageBlock: PageBlock, _ block: UInt32, _ mobility: Mobility
    ) {
        counts.addBlocks(1, order: order, mobility)
        if pageBlock.insert(node, order: order) { index.insert(block, order: order, mobility) }
    }

    /// Makes a free block, a node of a page block's tree, one that is not free.
    @inline(__always)
    mutating func remove(
        _ node: UInt32, order: Int, from pageBlock: PageBlock, _ block: UInt32, _ mobility: Mobility
    ) {
        counts.addBlocks(-1, order: order, mobility)
        if pageBlock.remove(node, order: order) { index.remove(block, order: order, mobility) }
    }

    /// True when a page block of `mobility` has a free block of `order` or a larger one. - Complexity: O(orders).
    func canServe(order: Int, _ mobility: Mobility) -> Bool { index.first(orderAtLeast: order, mobility) != nil }

    /// Takes a block from a page block (counted from the zone's first) that has one of `order` or larger.
    @inline(__always)
    mutating func take(order: Int, from block: UInt32, _ mobility: Mobility) -> UInt32 {
        counts.addFrames(-1 &<< order, mobility)
        let number = firstBlock &+ block
        let found = smallestOrder(atLeast: order, in: block)
        if found > PageBlock.order { return takeSection(number, order: order, mobility) }
        let pageBlock = table.pageBlock(number)
        var node = pageBlock.first(order: found)
        remove(node, order: found, from: pageBlock, block, mobility)
        node = split(pageBlock, block, node, from: found, to: order, mobility)
        return number << UInt32(PageBlock.order) | PageBlock.frame(of: node, order: order)
    }

    /// The smallest order of the free blocks in a page block that is large enough.
    @inline(__always)
    private func smallestOrder(atLeast order: Int, in block: UInt32) -> Int {
        let orders = table.pageBlock(firstBlock &+ block).orders
        return (orders >> UInt16(truncatingIfNeeded: order)).trailingZeroBitCount &+ order
    }

    /// Halves a node until it has order `order`; the upper halves become free blocks.
    @inline(__always)
    private mutating func split(
        _ pageBlock: PageBlock, _ block: UInt32, _ node: UInt32, from: Int, to order: Int, _ mobility: Mobility
    ) -> UInt32 {
        var node = node
        var half = from
        while half > order {
            half &-= 1
            node <<= 1
            insert(node | 1, order: half, into: pageBlock, block, mobility)
        }
        return node
    }

    /// Takes a block out of a section that is wholly free.
    @inline(never)
    private mutating func takeSection(_ number: UInt32, order: Int, _ mobility: Mobility) -> UInt32 {
        let block = number &- firstBlock
        table.pageBlock(number).setFreeSection(false)
        counts.addBlocks(-1, order: BlockOrder.highest, mobility)
        index.remove(block, order: BlockOrder.highest, mobility)
        if order < BlockOrder.highest {
            insert(1, order: PageBlock.order, into: table.pageBlock(number | 1), block | 1, mobility)
            _ = split(table.pageBlock(number), block, 1, from: PageBlock.order, to: order, mobility)
        }
        return number << UInt32(PageBlock.order)
    }

    // MARK: Putting back

    /// Makes a block free, merged with its buddy for as long as that is free.
    ///
    /// The block must lie in a section that has descriptors, be aligned to its size and not be free.
    /// - Complexity: O(orders).
    @inline(__always)
    mutating func put(_ frame: UInt32, order: Int) {
        let number = frame >> UInt32(PageBlock.order)
        let block = number &- firstBlock
        let pageBlock = table.pageBlock(number)
        let mobility = pageBlock.mobility
        counts.addFrames(1 &<< order, mobility)
        var order = order
        if order < PageBlock.order {
            var node = PageBlock.node(of: frame, order: order)
            while pageBlock.isFree(node ^ 1) {
                remove(node ^ 1, order: order, from: pageBlock, block, mobility)
                node >>= 1
                order &+= 1
                if order == PageBlock.order { break }
            }
            if order < PageBlock.order {
                return insert(node, order: order, into: pageBlock, block, mobility)
            }
        }
        putLarge(number, order: order, mobility)
    }

    /// Makes a whole page block or section free.
    @inline(never)
    private mutating func putLarge(_ number: UInt32, order: Int, _ mobility: Mobility) {
        let pageBlock = table.pageBlock(number)
        if order == PageBlock.order {
            let other = table.pageBlock(number ^ 1)
            // Contiguous and isolated page blocks keep to themselves: they must be found again as such.
            if !other.isFree(1) || !mobility.mergesWith(other.mobility) {
                return insert(1, order: order, into: pageBlock, number &- firstBlock, mobility)
            }
            remove(1, order: order, from: other, (number ^ 1) &- firstBlock, other.mobility)
            counts.addFrames(-Int(PageBlock.frameCount), other.mobility)
            counts.addFrames(Int(PageBlock.frameCount), mobility)
        }
        setMobility(mobility, ofBlock: number & ~1)
        setMobility(mobility, ofBlock: number | 1)
        table.pageBlock(number & ~1).setFreeSection(true)
        counts.addBlocks(1, order: BlockOrder.highest, mobility)
        index.insert((number & ~1) &- firstBlock, order: BlockOrder.highest, mobility)
    }

    // MARK: Mobility

    /// Whether the index says that a page block has a free block of `order`, as one of `mobility`. For checks.
    func indexContains(_ number: UInt32, order: Int, _ mobility: Mobility) -> Bool {
        index.contains(number &- firstBlock, order: order, mobility)
    }

    /// The lowest page block of `mobility` with a free block of exactly `order`, by its number.
    func firstBlock(order: Int, _ mobility: Mobility) -> UInt32? {
        index.first(order: order, mobility).map { $0 &+ firstBlock }
    }

    /// Takes a block of `order` from the page block with that number, which has one of `order` or larger.
    mutating func take(order: Int, fromBlock number: UInt32) -> UInt32 {
        take(order: order, from: number &- firstBlock, table.pageBlock(number).mobility)
    }

    /// Keeps a page block for contents of another mobility from now on: its free blocks are found under that.
    ///
    /// Of a section that is wholly free both page blocks change. - Complexity: O(orders).
    mutating func convert(_ number: UInt32, to mobility: Mobility) {
        let pageBlock = table.pageBlock(number)
        let before = pageBlock.mobility
        if before == mobility { return }
        for order in 0...BlockOrder.highest where pageBlock.orders & 1 << UInt16(order) != 0 {
            index.remove(number &- firstBlock, order: order, before)
            index.insert(number &- firstBlock, order: order, mobility)
            let count = order > PageBlock.order ? 1 : pageBlock.blockCount(order: order)
            counts.addBlocks(-count, order: order, before)
            counts.addBlocks(count, order: order, mobility)
        }
        let isSection = pageBlock.orders & 1 << 10 != 0
        let free = isSection ? 2 * PageBlock.frameCount : pageBlock.freeFrames
        counts.addFrames(-Int(free), before)
        counts.addFrames(Int(free), mobility)
        setMobility(mobility, ofBlock: number)
        if isSection { setMobility(mobility, ofBlock: number | 1) }
    }

    /// Notes down what a page block is kept for, and where its frames go when they are freed.
    mutating func setMobility(_ mobility: Mobility, ofBlock number: UInt32) {
        table.pageBlock(number).mobility = mobility
        table.setRingGroup(FrameCacheLayout.group(zone: zone, mobility), ofPageBlock: number)
    }
}
