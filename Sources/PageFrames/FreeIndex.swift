/// Which page blocks of a zone have free blocks, by mobility and order: the lowest is found in a few steps.
///
/// For each mobility a tree of nodes; a node is one 64-bit word for each order. A leaf node speaks of 64 page blocks, a
/// node above of 64 nodes: bit b of word n is set when child b has a free block of order n. The words of all orders
/// lie together, so that "order n or larger" is a few words of one or two cache lines.
///
///     level 2         1 node      4096 leaf nodes' worth    (512 GiB)
///     level 1        64 nodes
///     level 0      4096 nodes     64 page blocks each
@safe
struct FreeIndex: ~Copyable {
    /// Words in a node: 11 orders, and room up to a whole number of cache lines.
    private static var nodeWords: Int { 16 }

    private let words: UnsafeMutablePointer<UInt64>
    /// The number of levels, 1 to 4.
    private let levels: Int
    /// Where each level's nodes begin, in words from the start of a tree; the root is the last level's only node.
    private let offsets: UnsafeMutablePointer<Int>
    private let treeWords: Int
    private let rootOffset: Int

    /// The bytes that the trees for `blockCount` page blocks take.
    static func byteCount(blockCount: UInt) -> UInt {
        UInt(shape(blockCount: blockCount).words * Mobility.count * 8) + offsetBytes
    }

    /// The offsets' place, in front of the trees: a cache line.
    private static var offsetBytes: UInt { 64 }

    /// - Parameter memory: `byteCount(blockCount:)` bytes, aligned to 64, never given back; cleared here.
    @unsafe
    init(in memory: UnsafeMutableRawPointer, blockCount: UInt) {
        let shape = Self.shape(blockCount: blockCount)
        let count = shape.words * Mobility.count
        unsafe offsets = memory.bindMemory(to: Int.self, capacity: 4)
        for level in 0..<4 { unsafe (offsets + level).initialize(to: shape.offsets[level]) }
        unsafe words = (memory + Int(Self.offsetBytes)).bindMemory(to: UInt64.self, capacity: count)
        unsafe words.initialize(repeating: 0, count: count)
        levels = shape.levels
        treeWords = shape.words
        rootOffset = shape.offsets[shape.levels - 1]
    }

    /// Notes that a page block (counted from the zone's first) has a free block of `order`. - Complexity: O(levels).
    @inline(__always)
    func insert(_ block: UInt32, order: Int, _ mobility: Mobility) {
        var child = Int(block)
        var level = 0
        while true {
            // Within the level: blocks are below the count that the trees were made for.
            let word = unsafe words + self.word(child >> 6, level, order, mobility)
            let before = unsafe word.pointee
            unsafe word.pointee = before | 1 << UInt64(child & 63)
            level &+= 1
            if before != 0 || level == levels { return }
            child >>= 6
        }
    }

    /// Notes that a page block has no free block of `order` any more. - Complexity: O(levels).
    @inline(__always)
    func remove(_ block: UInt32, order: Int, _ mobility: Mobility) {
        var child = Int(block)
        var level = 0
        while true {
            // As above.
            let word = unsafe words + self.word(child >> 6, level, order, mobility)
            let left = unsafe word.pointee & ~(1 << UInt64(child & 63))
            unsafe word.pointee = left
            level &+= 1
            if left != 0 || level == levels { return }
            child >>= 6
        }
    }

    /// The lowest page block with a free block of exactly `order`; nil when there is none. - Complexity: O(levels).
    @inline(__always)
    func first(order: Int, _ mobility: Mobility) -> UInt32? {
        // The root is there.
        var found = unsafe words[rootWord(order, mobility)]
        if found == 0 { return nil }
        var child = found.trailingZeroBitCount
        var level = levels &- 1
        while level > 0 {
            level &-= 1
            // A set bit leads to a node with one.
            found = unsafe words[word(child, level, order, mobility)]
            child = child << 6 &+ found.trailingZeroBitCount
        }
        return UInt32(truncatingIfNeeded: child)
    }

    /// The lowest page block with a free block of `order` or larger; nil when there is none.
    /// - Complexity: O(levels * orders).
    @inline(__always)
    func first(orderAtLeast order: Int, _ mobility: Mobility) -> UInt32? {
        var found = any(0, levels &- 1, orderAtLeast: order, mobility)
        if found == 0 { return nil }
        var child = found.trailingZeroBitCount
        var level = levels &- 1
        while level > 0 {
            level &-= 1
            found = any(child, level, orderAtLeast: order, mobility)
            child = child << 6 &+ found.trailingZeroBitCount
        }
        return UInt32(truncatingIfNeeded: child)
    }

    /// True when some page block has a free block of exactly `order`. - Complexity: O(1).
    @inline(__always)
    func hasBlock(order: Int, _ mobility: Mobility) -> Bool {
        // The root is there.
        unsafe words[rootWord(order, mobility)] != 0
    }

    /// Whether the trees say, on every level, that a page block has a free block of `order`; where the levels disagree,
    /// what the leaf does not say. For checks.
    func contains(_ block: UInt32, order: Int, _ mobility: Mobility) -> Bool {
        var child = Int(block)
        // Within each level, as in `insert`.
        let isInLeaf = unsafe words[word(child >> 6, 0, order, mobility)] & 1 << UInt64(child & 63) != 0
        for level in 1..<levels {
            child >>= 6
            let below = unsafe words[word(child, level - 1, order, mobility)]
            let isMarked = unsafe words[word(child >> 6, level, order, mobility)] & 1 << UInt64(child & 63) != 0
            if isMarked != (below != 0) { return !isInLeaf }
        }
        return isInLeaf
    }

    /// A node's words of `order` and larger, united.
    @inline(__always)
    private func any(_ node: Int, _ level: Int, orderAtLeast order: Int, _ mobility: Mobility) -> UInt64 {
        var united: UInt64 = 0
        let first = word(node, level, 0, mobility)
        var order = order
        repeat {
            // The node's own words.
            united |= unsafe words[first &+ order]
            order &+= 1
        } while order <= BlockOrder.highest
        return united
    }

    @inline(__always)
    private func word(_ node: Int, _ level: Int, _ order: Int, _ mobility: Mobility) -> Int {
        // Levels are below 4.
        unsafe Int(mobility.rawValue) &* treeWords &+ offsets[level] &+ node &* Self.nodeWords &+ order
    }

    @inline(__always)
    private func rootWord(_ order: Int, _ mobility: Mobility) -> Int {
        Int(mobility.rawValue) &* treeWords &+ rootOffset &+ order
    }

    private static func shape(blockCount: UInt) -> (levels: Int, words: Int, offsets: InlineArray<4, Int>) {
        var offsets = InlineArray<4, Int>(repeating: 0)
        var nodes = max(1, (Int(blockCount) + 63) / 64)
        var words = 0
        var levels = 0
        while true {
            offsets[levels] = words
            words += nodes * nodeWords
            levels += 1
            if nodes == 1 { break }
            nodes = (nodes + 63) / 64
        }
        return (levels, words, offsets)
    }
}
