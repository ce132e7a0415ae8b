/// Which page blocks of a zone have free blocks, by mobility and order: the lowest is found in a few steps.
///
/// For each mobility a tree of nodes; a node is one 64-bit word for each order. A leaf speaks of 64 page blocks, a node
/// above of 64 nodes: bit b of word n is set when child b has a free block of order n. The words of all orders lie
/// together, so that "order n or larger" is a few words of one or two cache lines.
///
///     level 2         1 root      4096 leaves' worth        (512 GiB)
///     level 1        64 nodes
///     level 0      4096 leaves    64 page blocks each
///
/// There are at least two levels; up to 8 GiB there are two, and the root stands right above the leaves.
///
/// A bit is set just where something is there, on every level: a search goes down once. A page block's first free block of
/// an order goes up the tree, and so does its last, as far as they are the only one below a node.
@safe
struct FreeIndex: ~Copyable {
    /// Words in a node: 11 orders, and room up to a whole number of cache lines. The rest are always 0.
    @inline(__always) private static var nodeWords: Int { 16 }

    /// The trees' measures, and the trees behind them.
    private struct Header {
        /// Where each level's nodes begin, in words from the start of a tree, which is the root, the last level's only
        /// node.
        var offsets = InlineArray<4, Int>(repeating: 0)
        /// The number of levels, 2 to 4.
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

    /// Where a page block (counted from the zone's first) stands in a mobility's tree: for who notes down several orders of
    /// one page block.
    @safe
    struct Path {
        fileprivate let root: UnsafeMutablePointer<UInt64>
        fileprivate let leaf: UnsafeMutablePointer<UInt64>
        fileprivate let block: UInt32
    }

    @inline(__always)
    func path(of block: UInt32, _ mobility: Mobility) -> Path {
        // Blocks are below the count that the trees were made for.
        let root = unsafe words + Int(mobility.rawValue) &* header.pointee.treeWords
        return unsafe Path(root: root, leaf: root + (offset(0) &+ Int(block &>> 6) &* Self.nodeWords), block: block)
    }

    /// Notes that a page block has a free block of `order`. - Complexity: O(levels), O(1) mostly.
    @inline(__always)
    func insert(order: Int, _ path: Path) {
        // Orders are below 11, and a node has 16 words.
        let before = unsafe path.leaf[order]
        unsafe path.leaf[order] = before | 1 &<< UInt64(path.block)
        if before != 0 { return }
        if _slowPath(levels > 2) { return insertAbove(order, path) }
        unsafe path.root[order] |= 1 &<< UInt64(path.block &>> 6)
    }

    /// Notes that a page block has no free block of `order` any more. - Complexity: as `insert`.
    @inline(__always)
    func remove(order: Int, _ path: Path) {
        // As above.
        let left = unsafe path.leaf[order] & ~(1 &<< UInt64(path.block))
        unsafe path.leaf[order] = left
        if left != 0 { return }
        if _slowPath(levels > 2) { return removeAbove(order, path) }
        unsafe path.root[order] &= ~(1 &<< UInt64(path.block &>> 6))
    }

    /// Names a leaf that had nothing in the levels above it.
    @inline(never)
    private func insertAbove(_ order: Int, _ path: Path) {
        var child = Int(path.block &>> 6)
        for level in 1..<levels {
            // Within the level, as the leaf is.
            let word = unsafe path.root + (offset(level) &+ (child &>> 6) &* Self.nodeWords &+ order)
            let before = unsafe word.pointee
            unsafe word.pointee = before | 1 &<< UInt64(truncatingIfNeeded: child)
            if before != 0 { return }
            child &>>= 6
        }
    }

    /// Names a leaf that has nothing left no longer.
    @inline(never)
    private func removeAbove(_ order: Int, _ path: Path) {
        var child = Int(path.block &>> 6)
        for level in 1..<levels {
            // As above.
            let word = unsafe path.root + (offset(level) &+ (child &>> 6) &* Self.nodeWords &+ order)
            let left = unsafe word.pointee & ~(1 &<< UInt64(truncatingIfNeeded: child))
            unsafe word.pointee = left
            if left != 0 { return }
            child &>>= 6
        }
    }

    /// As `insert(order:_:)`, for a page block counted from the zone's first.
    @inline(never)
    func insert(_ block: UInt32, order: Int, _ mobility: Mobility) { insert(order: order, path(of: block, mobility)) }

    /// As `remove(order:_:)`, for a page block counted from the zone's first.
    @inline(never)
    func remove(_ block: UInt32, order: Int, _ mobility: Mobility) { remove(order: order, path(of: block, mobility)) }

    /// The lowest page block with a free block of exactly `order`; nil when there is none. - Complexity: O(levels).
    @inline(__always)
    func first(order: Int, _ mobility: Mobility) -> UInt32? {
        var node = 0
        var level = levels &- 1
        while true {
            // The root, and from there a set bit leads to a node. Where it leads to nothing the index is damaged.
            let found = unsafe words[word(node, level, order, mobility)]
            if found == 0 { return nil }
            node = node &<< 6 &+ found.trailingZeroBitCount
            if level == 0 { return UInt32(truncatingIfNeeded: node) }
            level &-= 1
        }
    }

    /// The lowest page block with a free block of `order` or larger; nil when there is none.
    /// - Complexity: O(levels * orders).
    @inline(never)
    func first(orderAtLeast order: Int, _ mobility: Mobility) -> UInt32? {
        var node = 0
        var level = levels &- 1
        while true {
            // As above.
            let found = any(node, level, orderAtLeast: order, mobility)
            if found == 0 { return nil }
            node = node &<< 6 &+ found.trailingZeroBitCount
            if level == 0 { return UInt32(truncatingIfNeeded: node) }
            level &-= 1
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

    /// Whether the nodes above the leaves name a child that has no free block of `order`. For checks.
    func leadsAstray(order: Int, _ mobility: Mobility) -> Bool { leadsAstray(0, levels - 1, order, mobility) }

    private func leadsAstray(_ node: Int, _ level: Int, _ order: Int, _ mobility: Mobility) -> Bool {
        // A set bit leads to a node, as in a search.
        var left = unsafe words[word(node, level, order, mobility)]
        while left != 0, level > 0 {
            let child = node << 6 + left.trailingZeroBitCount
            // The child's own word.
            let isEmpty = unsafe words[word(child, level - 1, order, mobility)] == 0
            if isEmpty || leadsAstray(child, level - 1, order, mobility) { return true }
            left &= left - 1
        }
        return false
    }

    /// A node's words of `order` and larger, united.
    @inline(__always)
    private func any(_ node: Int, _ level: Int, orderAtLeast order: Int, _ mobility: Mobility) -> UInt64 {
        var united: UInt64 = 0
        var place = unsafe words + word(node, level, order, mobility)
        let end = unsafe words + word(node, level, BlockOrder.count, mobility)
        repeat {
            // The node's own words, by fours: behind the last order's come some that are always 0.
            united |= unsafe place[0] | place[1] | place[2] | place[3]
            unsafe place += 4
        } while unsafe place < end
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
        var nodes = InlineArray<4, Int>(repeating: 1)
        nodes[0] = max(1, (Int(blockCount) + 63) / 64)
        header.levels = 1
        repeat {
            nodes[header.levels] = (nodes[header.levels - 1] + 63) / 64
            header.levels += 1
        } while nodes[header.levels - 1] > 1
        for level in (0..<header.levels).reversed() {
            header.offsets[level] = header.treeWords
            header.treeWords += nodes[level] * nodeWords
        }
        return header
    }
}
