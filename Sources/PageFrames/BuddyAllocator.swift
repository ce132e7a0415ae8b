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
/// Not safe by itself: the zone's lock protects it. What changes stands behind pointers: this value is small.
struct BuddyAllocator: ~Copyable {
    let table: FrameTable
    let index: FreeIndex
    /// The first page block of the zone, from which the index counts.
    let firstBlock: UInt32
    /// The zone's number, which chooses the rings of the frame caches.
    let zone: Int
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

    /// A page block with what is often asked of it.
    struct Place {
        let number: UInt32
        let block: PageBlock
        let mobility: Mobility
    }

    @inline(__always)
    func place(_ number: UInt32) -> Place {
        let block = table.pageBlock(number)
        return Place(number: number, block: block, mobility: block.mobility)
    }

    /// Makes a node of a page block's tree a free block.
    @inline(__always)
    private func insert(_ node: Int, order: Int, _ place: Place) {
        counts.addBlocks(1, order: order, place.mobility)
        if place.block.insert(node, order: order) {
            index.insert(place.number &- firstBlock, order: order, place.mobility)
        }
    }

    /// Makes a free block, a node of a page block's tree, one that is not free.
    @inline(__always)
    func remove(_ node: Int, order: Int, _ place: Place) {
        counts.addBlocks(-1, order: order, place.mobility)
        if place.block.remove(node, order: order) {
            index.remove(place.number &- firstBlock, order: order, place.mobility)
        }
    }

    /// The same, for who does so with several blocks of one page block.
    @inline(__always)
    private func insert(_ node: Int, order: Int, _ place: Place, _ path: FreeIndex.Path) {
        counts.addBlocks(1, order: order, place.mobility)
        if place.block.insert(node, order: order) { index.insert(order: order, path) }
    }

    @inline(__always)
    private func remove(_ node: Int, order: Int, _ place: Place, _ path: FreeIndex.Path) {
        counts.addBlocks(-1, order: order, place.mobility)
        if place.block.remove(node, order: order) { index.remove(order: order, path) }
    }

    @inline(__always)
    private func path(_ place: Place) -> FreeIndex.Path {
        index.path(of: place.number &- firstBlock, place.mobility)
    }

    // MARK: Taking

    /// Takes a block of `order` out of page blocks of `mobility`, splitting a larger one if need be; nil where there is
    /// none. No descriptor is touched. - Complexity: O(orders).
    @inline(__always)
    mutating func take(order: Int, _ mobility: Mobility) -> UInt32? {
        if let block = index.first(order: order, mobility) {
            let place = place(firstBlock &+ block)
            if order > PageBlock.order { return takeSection(place.number, order: order) }
            counts.addFrames(-1 &<< order, mobility)
            let node = place.block.first(order: order)
            remove(node, order: order, place)
            return place.number &<< 9 | PageBlock.frame(of: node, order: order)
        }
        guard let block = index.first(orderAtLeast: order, mobility) else { return nil }
        return take(order: order, fromBlock: firstBlock &+ block)
    }

    /// Takes blocks of `order`, 0 to 3, and calls `body` with each, lowest first, and its place among them: as many as
    /// lie together, up to `count`. - Returns: how many; 0 where there is none. - Complexity: O(orders + count).
    @inline(__always)
    mutating func takeRun(
        order: Int, _ mobility: Mobility, upTo count: Int, _ body: (_ frame: UInt32, _ index: Int) -> Void
    ) -> Int {
        if let block = index.first(order: order, mobility) {
            let place = place(firstBlock &+ block)
            let start = place.number &<< 9
            let taken = place.block.removeRun(count, order: order) { node, index in
                body(start | PageBlock.frame(of: node, order: order), index)
            }
            if place.block.blockCount(order: order) == 0 { index.remove(block, order: order, mobility) }
            counts.addBlocks(0 &- taken, order: order, mobility)
            counts.addFrames((0 &- taken) &<< order, mobility)
            return taken
        }
        // A larger block, no larger than what is wanted where it can be split.
        guard let block = index.first(orderAtLeast: order, mobility) else { return 0 }
        let number = firstBlock &+ block
        let found = table.pageBlock(number).smallestOrder(atLeast: order)
        let whole = min(found, order &+ (Int.bitWidth &- 1 &- count.leadingZeroBitCount))
        let frame = take(order: whole, fromBlock: number)
        let pieces = 1 &<< (whole &- order)
        var piece = 0
        repeat {
            body(frame &+ UInt32(truncatingIfNeeded: piece &<< order), piece)
            piece &+= 1
        } while piece != pieces
        return pieces
    }

    /// Takes a block of `order` from the page block with that number, which has one of `order` or larger.
    @inline(never)
    mutating func take(order: Int, fromBlock number: UInt32) -> UInt32 {
        let place = place(number)
        let found = place.block.smallestOrder(atLeast: order)
        if found > PageBlock.order { return takeSection(number, order: order) }
        counts.addFrames(-1 &<< order, place.mobility)
        let path = path(place)
        var node = place.block.first(order: found)
        remove(node, order: found, place, path)
        node = split(node, from: found, to: order, place, path)
        return number &<< 9 | PageBlock.frame(of: node, order: order)
    }

    /// Halves a node until it has order `order`; the upper halves become free blocks, of orders of which the page block has
    /// none.
    @inline(__always)
    private func split(_ node: Int, from: Int, to order: Int, _ place: Place, _ path: FreeIndex.Path) -> Int {
        var node = node
        var half = from
        while half > order {
            half &-= 1
            node &<<= 1
            counts.addBlocks(1, order: half, place.mobility)
            place.block.insertFirst(node | 1, order: half)
            index.insert(order: half, path)
        }
        return node
    }

    /// Takes a block out of a section that is wholly free.
    @inline(never)
    private mutating func takeSection(_ number: UInt32, order: Int) -> UInt32 {
        let place = place(number)
        place.block.isFreeSection = false
        counts.addBlocks(-1, order: BlockOrder.highest, place.mobility)
        counts.addFrames(-1 &<< order, place.mobility)
        index.remove(number &- firstBlock, order: BlockOrder.highest, place.mobility)
        if order < BlockOrder.highest {
            insert(1, order: PageBlock.order, self.place(number | 1))
            _ = split(1, from: PageBlock.order, to: order, place, path(place))
        }
        return number &<< 9
    }

    // MARK: Putting back

    /// Makes a block free, merged with its buddy for as long as that is free.
    ///
    /// The block must lie in a section that has descriptors, be aligned to its size and not be free.
    /// - Complexity: O(orders).
    @inline(__always)
    mutating func put(_ frame: UInt32, order: Int) {
        let place = place(frame &>> 9)
        counts.addFrames(1 &<< order, place.mobility)
        if order < PageBlock.order { putPart(frame, order: order, place) } else { putWhole(place.number, order: order) }
    }

    /// The same for a block of order 0 to 3.
    @inline(__always)
    mutating func putCached(_ frame: UInt32, order: Int) {
        let place = place(frame &>> 9)
        counts.addFrames(1 &<< order, place.mobility)
        putPart(frame, order: order, place)
    }

    /// Makes a part of a page block free. Its frames are counted already.
    ///
    /// Few blocks are the first or the last of their order in a page block: where that one stands in the index is looked
    /// up only then.
    @inline(__always)
    private mutating func putPart(_ frame: UInt32, order: Int, _ place: Place) {
        var order = order
        var node = PageBlock.node(of: frame, order: order)
        repeat {
            guard let wasLast = place.block.removeBuddy(of: node, order: order) else {
                return insert(node, order: order, place)
            }
            if wasLast { index.remove(place.number &- firstBlock, order: order, place.mobility) }
            counts.addBlocks(-1, order: order, place.mobility)
            node &>>= 1
            order &+= 1
        } while order != PageBlock.order
        putWhole(place.number, order: order)
    }

    /// Makes a whole page block or section free. Its frames are counted already.
    @inline(never)
    private mutating func putWhole(_ number: UInt32, order: Int) {
        let place = place(number)
        if order == PageBlock.order {
            let other = self.place(number ^ 1)
            // Contiguous and isolated page blocks keep to themselves: they must be found again as such.
            if !other.block.isFree(1) || !place.mobility.mergesWith(other.mobility) {
                return insert(1, order: order, place)
            }
            remove(1, order: order, other)
            counts.addFrames(-Int(PageBlock.frameCount), other.mobility)
            counts.addFrames(Int(PageBlock.frameCount), place.mobility)
        }
        setMobility(place.mobility, ofBlock: number & ~1)
        setMobility(place.mobility, ofBlock: number | 1)
        counts.addBlocks(1, order: BlockOrder.highest, place.mobility)
        let first = self.place(number & ~1)
        first.block.isFreeSection = true
        index.insert(first.number &- firstBlock, order: BlockOrder.highest, place.mobility)
    }
}
