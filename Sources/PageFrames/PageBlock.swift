/// What the allocator knows of a page block besides its bits, in 32 bytes.
struct PageBlockInfo {
    /// How many free blocks of each order begin in this page block; those of order 10 in the section's first only.
    var blockCounts = InlineArray<11, UInt16>(repeating: 0)

    /// Bit w is set when word w of the block's bits is not 0.
    var words: UInt16 = 0

    /// What the page block is kept for.
    var mobility: Mobility = .movable

    /// What it was kept for before it was isolated.
    var formerMobility: Mobility = .movable
}

/// A page block: 512 frames, 2 MiB, the unit in which memory is grouped by mobility, and a buddy system of its own.
///
/// Its free blocks are the set bits of a binary tree of 1024 bits, stored as a heap: the block of order n that begins
/// at frame f (counted from the page block's start) is bit (512 + f) >> n. So a block's buddy is its number with bit 0
/// turned, the block that both make up its number halved, and order 0 to 9 lie in words 8-15, 4-7, 2-3, 1 and 0.
///
///     bit 1                      order 9, the whole
///     bits 2, 3                  order 8
///     ...
///     bits 512 ..< 1024          order 0, single frames
///
/// No frame lies under two set bits, and no two buddies are both set. Under the zone's lock.
///
/// A value of this type is a view: where the bits are, and where the index and the counts of the zone speak of them.
@safe
struct PageBlock {
    /// log2 of the frames in a page block, and the order of a page block that is wholly free.
    @inline(__always) static var order: Int { 9 }
    @inline(__always) static var frameCount: UInt32 { 512 }

    /// The bytes that the bits take, and what they and the notes behind them take.
    @inline(__always) static var bitsByteCount: Int { 128 }
    @inline(__always) static var byteCount: Int { 160 }

    private let bits: UnsafeMutablePointer<UInt64>

    /// - Parameter memory: `byteCount` bytes, the page block's own, aligned to 8; they stay.
    @unsafe
    @inline(__always)
    init(in memory: UnsafeMutableRawPointer) { unsafe bits = memory.assumingMemoryBound(to: UInt64.self) }

    @inline(__always)
    private var info: UnsafeMutablePointer<PageBlockInfo> {
        // Behind the bits.
        unsafe (UnsafeMutableRawPointer(bits) + Self.bitsByteCount).assumingMemoryBound(to: PageBlockInfo.self)
    }

    /// Makes the page block one without free blocks. Its memory may have any contents.
    func reset(_ mobility: Mobility) {
        unsafe bits.initialize(repeating: 0, count: 16)
        unsafe info.initialize(to: PageBlockInfo(mobility: mobility))
    }

    /// The number, in the tree, of the block of `order` that `frame` lies in.
    @inline(__always)
    static func node(of frame: UInt32, order: Int) -> Int { Int(512 | frame & 511) &>> order }

    /// The first frame, counted from the page block's start, of a node of the tree.
    @inline(__always)
    static func frame(of node: Int, order: Int) -> UInt32 { UInt32(truncatingIfNeeded: node &<< order) & 511 }

    @inline(__always)
    var mobility: Mobility {
        get { unsafe info.pointee.mobility }
        nonmutating set { unsafe info.pointee.mobility = newValue }
    }

    /// What the page block is kept for again when it is no longer isolated.
    var formerMobility: Mobility {
        get { unsafe info.pointee.formerMobility }
        nonmutating set { unsafe info.pointee.formerMobility = newValue }
    }

    /// Whether a section that is wholly free begins here; such a block has no bit in the tree.
    @inline(__always)
    var isFreeSection: Bool {
        get { blockCount(order: BlockOrder.highest) != 0 }
        nonmutating set { unsafe blockCounts[BlockOrder.highest] = newValue ? 1 : 0 }
    }

    /// The number of free blocks of `order`.
    @inline(__always)
    func blockCount(order: Int) -> Int { unsafe Int(blockCounts[order]) }

    /// The smallest order from `order` on of which a free block begins here; there must be one.
    @inline(__always)
    func smallestOrder(atLeast order: Int) -> Int {
        var order = order
        // The caller knows of one; else this ends at the mark behind the counts, which is never 0 then.
        while unsafe blockCounts[order] == 0 && order < BlockOrder.highest { order &+= 1 }
        return order
    }

    @inline(__always)
    private var blockCounts: UnsafeMutablePointer<UInt16> {
        // The counts are the first part of the notes.
        unsafe UnsafeMutableRawPointer(info).assumingMemoryBound(to: UInt16.self)
    }

    @inline(__always)
    func isFree(_ node: Int) -> Bool {
        // A node is below 1024, and there are 16 words.
        unsafe bits[node &>> 6] & 1 &<< UInt64(truncatingIfNeeded: node) != 0
    }

    /// Sets a bit. - Returns: true when the page block had no free block of that order before.
    @inline(__always)
    func insert(_ node: Int, order: Int) -> Bool {
        let word = node &>> 6
        // As above; orders are below 11.
        let others = unsafe bits[word]
        unsafe bits[word] = others | 1 &<< UInt64(truncatingIfNeeded: node)
        if others == 0 { unsafe info.pointee.words |= 1 &<< UInt16(truncatingIfNeeded: word) }
        let before = unsafe blockCounts[order]
        unsafe blockCounts[order] = before &+ 1
        return before == 0
    }

    /// Sets a bit, where the page block has no other free block of that order.
    @inline(__always)
    func insertFirst(_ node: Int, order: Int) {
        let word = node &>> 6
        // As above. Orders above 3 share a word.
        unsafe bits[word] |= 1 &<< UInt64(truncatingIfNeeded: node)
        unsafe info.pointee.words |= 1 &<< UInt16(truncatingIfNeeded: word)
        unsafe blockCounts[order] = 1
    }

    /// Clears a bit that is set. - Returns: true when the page block has no free block of that order left.
    @inline(__always)
    func remove(_ node: Int, order: Int) -> Bool {
        // As above.
        let word = node &>> 6
        set(word, to: unsafe bits[word] & ~(1 &<< UInt64(truncatingIfNeeded: node)))
        let left = unsafe blockCounts[order] &- 1
        unsafe blockCounts[order] = left
        return left == 0
    }

    /// Clears the bit of a node's buddy if it is set.
    /// - Returns: nil when it is not; else whether the page block has no free block of that order left.
    @inline(__always)
    func removeBuddy(of node: Int, order: Int) -> Bool? {
        let word = node &>> 6
        let bit = UInt64(truncatingIfNeeded: node ^ 1)
        // As above.
        let before = unsafe bits[word]
        if before &>> bit & 1 == 0 { return nil }
        set(word, to: before & ~(1 &<< bit))
        let count = unsafe blockCounts[order] &- 1
        unsafe blockCounts[order] = count
        return count == 0
    }

    /// The lowest free block of `order`, of which there must be one.
    @inline(__always)
    func first(order: Int) -> Int {
        if order > 3 {
            // In word 0 the bits below are those of larger blocks, those above those of smaller ones.
            let start = 512 &>> order
            return start &+ (unsafe bits[0] &>> UInt64(truncatingIfNeeded: start)).trailingZeroBitCount
        }
        let word = firstWord(order: order)
        // As above.
        return word &<< 6 &+ (unsafe bits[word].trailingZeroBitCount)
    }

    /// Clears the bits of up to `count` blocks of `order` 0 to 3, of which there must be one, all in one word, and calls
    /// `body` with each, in ascending order. - Returns: how many.
    @inline(__always)
    func removeRun(_ count: Int, order: Int, _ body: (_ node: Int, _ index: Int) -> Void) -> Int {
        let word = firstWord(order: order)
        // As above.
        var left = unsafe bits[word]
        var taken = 0
        repeat {
            body(word &<< 6 &+ left.trailingZeroBitCount, taken)
            left &= left &- 1
            taken &+= 1
        } while left != 0 && taken < count
        set(word, to: left)
        unsafe blockCounts[order] &-= UInt16(truncatingIfNeeded: taken)
        return taken
    }

    /// The number of free frames. - Complexity: O(orders).
    var freeFrames: UInt32 {
        if isFreeSection { return Self.frameCount }
        var count = 0
        for order in 0...Self.order { count += blockCount(order: order) << order }
        return UInt32(truncatingIfNeeded: count)
    }

    /// The number of bits of an order that are set: what `blockCount` says, the slow way. For checks.
    func countBits(order: Int) -> Int {
        var count = 0
        for node in 512 >> order..<1024 >> order where isFree(node) { count += 1 }
        return count
    }

    /// Whether the note about each word is true. For checks.
    var hasTrueWordNotes: Bool {
        for word in 0..<16 {
            // There are 16 words.
            if unsafe (bits[word] != 0) != (info.pointee.words & 1 << UInt16(word) != 0) { return false }
        }
        return true
    }

    /// The first word that has blocks of an order up to 3; there must be one.
    @inline(__always)
    private func firstWord(order: Int) -> Int {
        let start = 8 &>> order
        // The notes about the words from the order's first on; the first that is not 0 is one of the order's.
        return start &+ (unsafe info.pointee.words &>> UInt16(truncatingIfNeeded: start)).trailingZeroBitCount
    }

    @inline(__always)
    private func set(_ word: Int, to left: UInt64) {
        // As above.
        unsafe bits[word] = left
        if left == 0 { unsafe info.pointee.words &= ~(1 &<< UInt16(truncatingIfNeeded: word)) }
    }
}
