import MemoryPrimitives

/// Which slots of a pool are free: a buddy system whose free blocks are bits, one bitmap for each order.
///
///     order 7   1 . . .          a block of 128 slots is free
///     order 6   . . 1 .          one of 64
///     ...                        a free slot is part of exactly one block whose bit is set
///
/// A run of any number of slots is the front of a block; what of the block is not wanted is free again as smaller blocks,
/// and joins what comes back. No list is walked: a bitmap's words have a summary word each 64, so that the lowest free
/// block of an order is found in a few steps.
///
/// Not safe for several callers at once: the pool has a lock.
@safe
struct SlotMap {
    /// The largest run: 128 slots, 256 KiB, as of Linux's swiotlb.
    static var largestOrder: Int { 7 }
    static var largestRun: UInt { 1 << 7 }

    /// As many as 64 summary words can stand for, with 64 words each.
    static var capacity: UInt { 64 * 64 * 64 }

    let slotCount: UInt
    private(set) var freeCount: UInt
    /// For each order the summary, then the words.
    private let words: UnsafeMutablePointer<UInt64>

    private static func wordCount(_ slotCount: UInt, _ order: Int) -> UInt {
        ((slotCount &>> UInt(bitPattern: order)) &+ 63) &>> 6
    }

    private static func summaryCount(_ slotCount: UInt, _ order: Int) -> UInt {
        (wordCount(slotCount, order) &+ 63) &>> 6
    }

    /// Bytes of memory that `init` needs, aligned to 8.
    static func byteCount(slotCount: UInt) -> UInt {
        var sum: UInt = 0
        for order in 0...largestOrder { sum += wordCount(slotCount, order) + summaryCount(slotCount, order) }
        return sum * 8
    }

    /// A map all of whose slots are free.
    /// - Parameters:
    ///   - slotCount: a multiple of 128, at most `capacity`.
    ///   - memory: `byteCount` bytes, aligned to 8; the map's for good.
    @unsafe
    init(slotCount: UInt, in memory: UnsafeMutableRawPointer) {
        precondition(slotCount % Self.largestRun == 0 && slotCount <= Self.capacity)
        self.slotCount = slotCount
        freeCount = 0
        let count = Int(Self.byteCount(slotCount: slotCount) / 8)
        // As many words as the caller's memory has room for.
        unsafe words = memory.bindMemory(to: UInt64.self, capacity: count)
        unsafe words.initialize(repeating: 0, count: count)
        var slot: UInt = 0
        while slot < slotCount {
            set(slot, Self.largestOrder)
            slot += Self.largestRun
        }
        freeCount = slotCount
    }

    /// Takes `count` slots in a row, 1 to 128, from the lowest block that is large enough and no larger than it must be.
    /// - Returns: the first; nil where there is no such block. - Complexity: O(orders).
    mutating func take(_ count: UInt) -> UInt? {
        let wanted = UInt.bitWidth &- (count &- 1).leadingZeroBitCount
        var order = wanted
        while order <= Self.largestOrder {
            if let slot = lowest(order) {
                clear(slot, order)
                // What is above the run, as the blocks that it is made of.
                release(slot &+ count, slot &+ 1 &<< UInt(bitPattern: order))
                freeCount &-= count
                return slot
            }
            order &+= 1
        }
        return nil
    }

    /// Gives slots back that `take` returned. - Complexity: O(orders * orders).
    mutating func give(_ slot: UInt, _ count: UInt) {
        release(slot, slot &+ count)
        freeCount &+= count
    }

    /// Makes the slots from `slot` up to `end`, which are of one block of 128, free: the largest blocks that they are, each
    /// joined with its other half as far as that is free.
    private func release(_ slot: UInt, _ end: UInt) {
        var slot = slot
        while slot < end {
            var order = min(slot.trailingZeroBitCount, 63 &- (end &- slot).leadingZeroBitCount, Self.largestOrder)
            let count: UInt = 1 &<< UInt(bitPattern: order)
            var block = slot
            while order < Self.largestOrder {
                let other = block ^ 1 &<< UInt(bitPattern: order)
                if !isSet(other, order) { break }
                clear(other, order)
                block = min(block, other)
                order &+= 1
            }
            set(block, order)
            slot &+= count
        }
    }

    // MARK: Bits

    /// Where an order's summary begins; its words follow.
    private func summary(_ order: Int) -> UnsafeMutablePointer<UInt64> {
        var offset: UInt = 0
        var below = 0
        while below < order {
            offset &+= Self.wordCount(slotCount, below) &+ Self.summaryCount(slotCount, below)
            below &+= 1
        }
        // Within the map's memory, by `byteCount`.
        return unsafe words + Int(bitPattern: offset)
    }

    private func set(_ slot: UInt, _ order: Int) {
        let index = slot &>> UInt(bitPattern: order)
        // A slot of the map is a bit of each of its bitmaps.
        let summary = unsafe summary(order)
        let bits = unsafe summary + Int(bitPattern: Self.summaryCount(slotCount, order))
        unsafe bits[Int(bitPattern: index &>> 6)] |= 1 &<< UInt64(index & 63)
        unsafe summary[Int(bitPattern: index &>> 12)] |= 1 &<< UInt64((index &>> 6) & 63)
    }

    private func clear(_ slot: UInt, _ order: Int) {
        let index = slot &>> UInt(bitPattern: order)
        // As above.
        let summary = unsafe summary(order)
        let bits = unsafe summary + Int(bitPattern: Self.summaryCount(slotCount, order))
        unsafe bits[Int(bitPattern: index &>> 6)] &= ~(1 &<< UInt64(index & 63))
        if unsafe bits[Int(bitPattern: index &>> 6)] == 0 {
            unsafe summary[Int(bitPattern: index &>> 12)] &= ~(1 &<< UInt64((index &>> 6) & 63))
        }
    }

    private func isSet(_ slot: UInt, _ order: Int) -> Bool {
        let index = slot &>> UInt(bitPattern: order)
        // As above.
        let bits = unsafe summary(order) + Int(bitPattern: Self.summaryCount(slotCount, order))
        return unsafe bits[Int(bitPattern: index &>> 6)] &>> UInt64(index & 63) & 1 != 0
    }

    /// The first slot of the lowest free block of an order.
    private func lowest(_ order: Int) -> UInt? {
        let count = Int(bitPattern: Self.summaryCount(slotCount, order))
        // As above.
        let summary = unsafe summary(order)
        for group in 0..<count where unsafe summary[group] != 0 {
            let word = unsafe group &* 64 &+ summary[group].trailingZeroBitCount
            let bit = unsafe (summary + count)[word].trailingZeroBitCount
            return UInt(bitPattern: word &* 64 &+ bit) &<< UInt(bitPattern: order)
        }
        return nil
    }

    /// Checks that each slot is in one free block at most, that no two free halves stand side by side, that the summaries
    /// hold, and the count. - Complexity: O(slots).
    func checkInvariants() throws(InvariantViolation) {
        var free: UInt = 0
        for order in 0...Self.largestOrder {
            let size: UInt = 1 << UInt(order)
            var slot: UInt = 0
            while slot < slotCount {
                if isSet(slot, order) {
                    free += size
                    if order < Self.largestOrder, isSet(slot ^ size, order) {
                        throw InvariantViolation("two free halves are one block", at: slot, found: size)
                    }
                    for larger in order + 1..<Self.largestOrder + 1 where isSet(slot, larger) {
                        throw InvariantViolation("a free slot is in one block", at: slot, found: UInt(larger))
                    }
                }
                slot += size
            }
            try checkSummary(order)
        }
        if free != freeCount { throw InvariantViolation("free slots are counted", found: freeCount, expected: free) }
    }

    private func checkSummary(_ order: Int) throws(InvariantViolation) {
        let count = Self.summaryCount(slotCount, order)
        let summary = unsafe summary(order)
        for word in 0..<Self.wordCount(slotCount, order) {
            // Within the order's words.
            let isUsed = unsafe (summary + Int(count))[Int(word)] != 0
            if unsafe (summary[Int(word >> 6)] >> UInt64(word & 63) & 1 != 0) != isUsed {
                throw InvariantViolation("a summary knows where free blocks are", at: word, found: UInt(order))
            }
        }
    }
}
