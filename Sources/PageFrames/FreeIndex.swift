/// Which page blocks of a zone have free blocks, by mobility and order: the lowest is found in a few steps.
///
/// For each mobility a tree of nodes; a node is one 64-bit word for each order. A leaf speaks of 64 page blocks, a node
/// above of 64 nodes: bit b of word n is set when child b has a free block of order n. The words of all orders lie
/// together, so that "order n or larger" is a few words of one or two cache lines.
///
///     level 2         1 node      4096 leaves' worth        (512 GiB)
///     level 1        64 nodes
///     level 0      4096 leaves    64 page blocks each
///
/// Leaves are exact. Above them a bit may be set for a child that has nothing left: it is cleared by the search that
/// finds that out, so that blocks that come and go do not go up the tree each time. A search meets at most 64 such bits
/// on a level, and each was set by an insertion.
@safe
struct FreeIndex: ~Copyable {
    /// Words in a node: 11 orders, and room up to a whole number of cache lines.
    @inline(__always) private static var nodeWords: Int { 16 }

    /// The trees' measures, and the trees behind them.
    private struct Header {
        /// Where each level's nodes begin, in words from the start of a tree; the root is the last level's only node.
        var offsets = InlineArray<4, Int>(repeating: 0)
        /// The number of levels, 1 to 4.
        var levels = 0
        var treeWords = 0
        private var padding = InlineArray<2, Int>(repeating: 0)
    }

    private let header: UnsafeMutablePointer<Header>

    @inline(__always)
    private var words: UnsafeMutablePointer<UInt64> {
        // Behind the header.
        unsafe UnsafeMutableRawPointer(header + 1).assumingMemoryBound(to: UInt64.self)
    }

    @inline(__always)
    private var levels: Int { unsafe header.pointee.levels }

    /// The bytes that the trees for `blockCount` page blocks take.
    static func byteCount(blockCount: UInt) -> UInt {
        UInt(shape(blockCount: blockCount).treeWords * Mobility.count * 8 + MemoryLayout<Header>.stride)
    }

    /// - Parameter memory: `byteCount(blockCount:)` bytes, aligned to 64, never given back; cleared here.
    @unsafe
    init(in memory: UnsafeMutableRawPointer, blockCount: UInt) {
        let shape = Self.shape(blockCount: blockCount)
        unsafe header = memory.bindMemory(to: Header.self, capacity: 1)
        unsafe header.initialize(to: shape)
        unsafe UnsafeMutableRawPointer(header + 1).initializeMemory(
            as: UInt64.self, repeating: 0, count: shape.treeWords * Mobility.count)
    }

    /// Where a page block (counted from the zone's first) stands in the two lowest levels of a mobility's tree: for who
    /// notes down several orders of one page block.
    @safe
    struct Path {
        fileprivate let leaf: UnsafeMutablePointer<UInt64>
        fileprivate let parent: UnsafeMutablePointer<UInt64>
        fileprivate let bit: UInt64
        fileprivate let parentBit: UInt64
        fileprivate let block: UInt32
        fileprivate let mobility: Mobility
    }

    @inline(__always)
    func path(of block: UInt32, _ mobility: Mobility) -> Path {
        // Level 0 comes first in a tree; blocks are below the count that the trees were made for. A tree of one level has
        // no parents: there the leaf takes their place, and is told the same twice.
        let tree = unsafe words + Int(mobility.rawValue) &* header.pointee.treeWords
        let leaf = unsafe tree + Int(block &>> 6) &* Self.nodeWords
        let bit: UInt64 = 1 &<< UInt64(block)
        if levels == 1 {
            return unsafe Path(leaf: leaf, parent: leaf, bit: bit, parentBit: bit, block: block, mobility: mobility)
        }
        let parent = unsafe tree + (offset(1) &+ Int(block &>> 12) &* Self.nodeWords)
        return unsafe Path(
            leaf: leaf, parent: parent, bit: bit, parentBit: 1 &<< UInt64(block &>> 6), block: block,
            mobility: mobility)
    }

    /// As `insert(_:order:_:)`. - Complexity: O(1) in trees of up to two levels, 8 GiB; else O(levels).
    @inline(__always)
    func insert(order: Int, _ path: Path) {
        if _slowPath(levels > 2) { return insert(path.block, order: order, path.mobility) }
        // Orders are below 11, and a node has 16 words.
        unsafe path.leaf[order] |= path.bit
        unsafe path.parent[order] |= path.parentBit
    }

    /// As `remove(_:order:_:)`.
    @inline(__always)
    func remove(order: Int, _ path: Path) {
        // As above.
        unsafe path.leaf[order] &= ~path.bit
    }

    /// Notes that a page block (counted from the zone's first) has a free block of `order`.
    /// - Complexity: O(levels), O(1) mostly.
    @inline(never)
    func insert(_ block: UInt32, order: Int, _ mobility: Mobility) {
        var child = Int(block)
        var level = 0
        while level < levels {
            // Within the level: blocks are below the count that the trees were made for.
            let word = unsafe words + self.word(child &>> 6, level, order, mobility)
            let before = unsafe word.pointee
            unsafe word.pointee = before | 1 &<< UInt64(truncatingIfNeeded: child)
            if before != 0 { return }
            child &>>= 6
            level &+= 1
        }
    }

    /// Notes that a page block has no free block of `order` any more. - Complexity: O(1).
    @inline(never)
    func remove(_ block: UInt32, order: Int, _ mobility: Mobility) {
        // Level 0 comes first in a tree; as above.
        let word =
            (unsafe Int(mobility.rawValue) &* header.pointee.treeWords) &+ Int(block &>> 6) &* Self.nodeWords &+ order
        unsafe words[word] &= ~(1 &<< UInt64(truncatingIfNeeded: block))
    }

    /// The lowest page block with a free block of exactly `order`; nil when there is none. - Complexity: O(levels).
    @inline(__always)
    func first(order: Int, _ mobility: Mobility) -> UInt32? {
        let root = word(0, levels &- 1, order, mobility)
        while true {
            // The root, and from there a set bit leads to a node.
            var found = unsafe words[root]
            if found == 0 { return nil }
            var node = 0
            var level = levels &- 1
            while level > 0 {
                let child = node &<< 6 &+ found.trailingZeroBitCount
                found = unsafe words[word(child, level &- 1, order, mobility)]
                if found == 0 {
                    unsafe words[word(node, level, order, mobility)] &= ~(1 &<< UInt64(child & 63))
                    break
                }
                node = child
                level &-= 1
            }
            if level == 0 { return UInt32(truncatingIfNeeded: node &<< 6 &+ found.trailingZeroBitCount) }
        }
    }

    /// The lowest page block with a free block of `order` or larger; nil when there is none.
    /// - Complexity: O(levels * orders).
    @inline(never)
    func first(orderAtLeast order: Int, _ mobility: Mobility) -> UInt32? {
        while true {
            var found = any(0, levels &- 1, orderAtLeast: order, mobility)
            if found == 0 { return nil }
            var node = 0
            var level = levels &- 1
            while level > 0 {
                let child = node &<< 6 &+ found.trailingZeroBitCount
                found = any(child, level &- 1, orderAtLeast: order, mobility)
                if found == 0 {
                    for stale in order...BlockOrder.highest {
                        // As above.
                        unsafe words[word(node, level, stale, mobility)] &= ~(1 &<< UInt64(child & 63))
                    }
                    break
                }
                node = child
                level &-= 1
            }
            if level == 0 { return UInt32(truncatingIfNeeded: node &<< 6 &+ found.trailingZeroBitCount) }
        }
    }

    /// Whether the leaf of a page block says that it has a free block of `order`. For checks.
    func contains(_ block: UInt32, order: Int, _ mobility: Mobility) -> Bool {
        // As above.
        unsafe words[word(Int(block >> 6), 0, order, mobility)] & 1 << UInt64(block & 63) != 0
    }

    /// Whether every node above a page block's leaf says so where the leaf has a block of `order`. For checks.
    func leads(to block: UInt32, order: Int, _ mobility: Mobility) -> Bool {
        var child = Int(block)
        for level in 0..<levels {
            // Within each level.
            if unsafe words[word(child >> 6, level, order, mobility)] & 1 << UInt64(child & 63) == 0 { return false }
            child >>= 6
        }
        return true
    }

    /// A node's words of `order` and larger, united.
    @inline(__always)
    private func any(_ node: Int, _ level: Int, orderAtLeast order: Int, _ mobility: Mobility) -> UInt64 {
        var united: UInt64 = 0
        let end = word(node, level, BlockOrder.count, mobility)
        var place = end &- (BlockOrder.count &- order)
        repeat {
            // The node's own words.
            united |= unsafe words[place]
            place &+= 1
        } while place != end
        return united
    }

    @inline(__always)
    private func word(_ node: Int, _ level: Int, _ order: Int, _ mobility: Mobility) -> Int {
        // Levels are below 4.
        unsafe Int(mobility.rawValue) &* header.pointee.treeWords &+ offset(level) &+ node &* Self.nodeWords &+ order
    }

    @inline(__always)
    private func offset(_ level: Int) -> Int {
        // The offsets are the header's first part.
        unsafe UnsafeMutableRawPointer(header).assumingMemoryBound(to: Int.self)[level]
    }

    private static func shape(blockCount: UInt) -> Header {
        var header = Header()
        var nodes = max(1, (Int(blockCount) + 63) / 64)
        while true {
            header.offsets[header.levels] = header.treeWords
            header.treeWords += nodes * nodeWords
            header.levels += 1
            if nodes == 1 { return header }
            nodes = (nodes + 63) / 64
        }
    }
}
