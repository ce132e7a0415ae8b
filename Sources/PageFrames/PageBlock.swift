/// What the allocator knows of a page block besides its bits.
struct PageBlockInfo {
    /// Bit w is set when word w of the block's bits is not 0.
    var words: UInt16 = 0

    /// Bit n is set when a free block of order n begins in this page block; bit 10 only in the section's first.
    var orders: UInt16 = 0

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
@safe
struct PageBlock {
    /// log2 of the frames in a page block, and the order of a page block that is wholly free.
    static var order: Int { 9 }
    static var frameCount: UInt32 { 512 }

    /// The bytes that the bits take.
    static var byteCount: Int { 128 }

    private let bits: UnsafeMutablePointer<UInt64>
    private let info: UnsafeMutablePointer<PageBlockInfo>

    /// - Parameters: `bits` are 16 words, `info` is the block's own; both stay.
    @unsafe
    @inline(__always)
    init(bits: UnsafeMutablePointer<UInt64>, info: UnsafeMutablePointer<PageBlockInfo>) {
        unsafe self.bits = bits
        unsafe self.info = info
    }

    /// The number, in the tree, of the block of `order` that `frame` lies in.
    @inline(__always)
    static func node(of frame: UInt32, order: Int) -> UInt32 {
        (512 | frame & 511) >> UInt32(truncatingIfNeeded: order)
    }

    /// The first frame, counted from the page block's start, of a node of the tree.
    @inline(__always)
    static func frame(of node: UInt32, order: Int) -> UInt32 {
        node << UInt32(truncatingIfNeeded: order) & 511
    }

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

    /// Bit n is set when a free block of order n begins here.
    @inline(__always)
    var orders: UInt16 { unsafe info.pointee.orders }

    /// Notes down whether a free block of order 10 begins here; it has no bit in the tree.
    @inline(__always)
    func setFreeSection(_ isFree: Bool) {
        // The page block's own note.
        unsafe info.pointee.orders = isFree ? 1 << 10 : 0
    }

    @inline(__always)
    func isFree(_ node: UInt32) -> Bool {
        // A node is below 1024, and there are 16 words.
        unsafe bits[Int(node >> 6)] & 1 << UInt64(node & 63) != 0
    }

    /// Sets a bit. - Returns: true when the block had no free block of that order before.
    @inline(__always)
    func insert(_ node: UInt32, order: Int) -> Bool {
        let word = Int(node >> 6)
        let bit = UInt16(1) << UInt16(truncatingIfNeeded: order)
        // As above.
        unsafe bits[word] |= 1 << UInt64(node & 63)
        unsafe info.pointee.words |= 1 << UInt16(truncatingIfNeeded: word)
        let before = unsafe info.pointee.orders
        unsafe info.pointee.orders = before | bit
        return before & bit == 0
    }

    /// Clears a bit that is set. - Returns: true when the block has no free block of that order left.
    @inline(__always)
    func remove(_ node: UInt32, order: Int) -> Bool {
        let word = Int(node >> 6)
        // As above.
        let left = unsafe bits[word] & ~(1 << UInt64(node & 63))
        unsafe bits[word] = left
        if left == 0 { unsafe info.pointee.words &= ~(1 << UInt16(truncatingIfNeeded: word)) }
        return noteIfEmpty(order)
    }

    /// The lowest free block of `order`, of which there must be one.
    @inline(__always)
    func first(order: Int) -> UInt32 {
        let word = firstWord(order: order)
        // As above.
        return unsafe UInt32(truncatingIfNeeded: word << 6 &+ (bits[word] & Self.mask(order)).trailingZeroBitCount)
    }

    /// Clears the bits of up to `count` blocks of `order`, of which there must be one, all in the lowest word that has
    /// any, and calls `body` with each, in ascending order. - Returns: true when none of that order is left.
    @inline(__always)
    func removeFirst(_ count: inout Int, order: Int, _ body: (UInt32) -> Void) -> Bool {
        let word = firstWord(order: order)
        // As above.
        var left = unsafe bits[word]
        let mask = Self.mask(order)
        repeat {
            let bit = (left & mask).trailingZeroBitCount
            left &= ~(1 << UInt64(bit))
            body(UInt32(truncatingIfNeeded: word << 6 &+ bit))
            count &-= 1
        } while left & mask != 0 && count > 0
        unsafe bits[word] = left
        if left == 0 { unsafe info.pointee.words &= ~(1 << UInt16(truncatingIfNeeded: word)) }
        return noteIfEmpty(order)
    }

    /// The number of free frames. - Complexity: O(1): 16 words.
    var freeFrames: UInt32 {
        if orders & 1 << 10 != 0 { return Self.frameCount }
        var count = 0
        for order in 0...Self.order { count += blockCount(order: order) << order }
        return UInt32(truncatingIfNeeded: count)
    }

    /// The number of free blocks of `order`, at most 9.
    func blockCount(order: Int) -> Int {
        if order > 3 { return unsafe (bits[0] & Self.mask(order)).nonzeroBitCount }
        var count = 0
        // As above.
        for word in Self.words(order: order) { count += unsafe bits[word].nonzeroBitCount }
        return count
    }

    /// Whether the note about each word is true.
    var hasTrueWordNotes: Bool {
        for word in 0..<16 {
            // There are 16 words.
            if unsafe (bits[word] != 0) != (info.pointee.words & 1 << UInt16(word) != 0) { return false }
        }
        return true
    }

    @inline(__always)
    private func firstWord(order: Int) -> Int {
        // Within the order's words there is one that is not 0, or its single one is word 0.
        order > 3 ? 0 : unsafe (info.pointee.words & Self.wordMask(order)).trailingZeroBitCount
    }

    /// After a bit of `order` was cleared: takes the order's mark off where none is left.
    @inline(__always)
    private func noteIfEmpty(_ order: Int) -> Bool {
        // As above.
        let isEmpty =
            unsafe order > 3 ? bits[0] & Self.mask(order) == 0 : info.pointee.words & Self.wordMask(order) == 0
        if isEmpty { unsafe info.pointee.orders &= ~(1 << UInt16(truncatingIfNeeded: order)) }
        return isEmpty
    }

    /// The words of an order up to 3.
    private static func words(order: Int) -> Range<Int> { 8 >> order..<16 >> order }

    /// The same as bits of `PageBlockInfo.words`.
    @inline(__always)
    private static func wordMask(_ order: Int) -> UInt16 {
        let count = UInt16(8) >> UInt16(truncatingIfNeeded: order)
        return (1 << count &- 1) << count
    }

    /// An order's bits within a word.
    @inline(__always)
    private static func mask(_ order: Int) -> UInt64 {
        if order <= 3 { return ~0 }
        let count = UInt64(512) >> UInt64(truncatingIfNeeded: order)
        return (1 << count &- 1) << count
    }
}
