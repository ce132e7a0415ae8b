/// One of kmalloc's object sizes: 8 to 8192 bytes, the powers of two with 96 and 192 between them.
///
/// | bytes | order | objects | header   | not objects | depth |
/// |------:|------:|--------:|----------|------------:|------:|
/// |     8 |     0 |     443 | on slab  |      13.5 % |    64 |
/// |    16 |     0 |     236 | on slab  |       7.8 % |    64 |
/// |    32 |     0 |     122 | on slab  |       4.7 % |    64 |
/// |    64 |     0 |      62 | on slab  |       3.1 % |    64 |
/// |    96 |     0 |      41 | on slab  |       3.9 % |    64 |
/// |   128 |     0 |      31 | on slab  |       3.1 % |    64 |
/// |   192 |     1 |      42 | on slab  |       1.6 % |    64 |
/// |   256 |     1 |      31 | on slab  |       3.1 % |    64 |
/// |   512 |     1 |      16 | off slab |       0.0 % |    32 |
/// |  1024 |     2 |      16 | off slab |       0.0 % |    32 |
/// |  2048 |     3 |      16 | off slab |       0.0 % |    16 |
/// |  4096 |     3 |       8 | off slab |       0.0 % |    16 |
/// |  8192 |     3 |       4 | off slab |       0.0 % |    16 |
///
/// *Order* is that of a slab's block, *depth* the number of objects that a CPU's magazine holds. What is not objects is
/// nearly all state bytes and bitmap: the price of keeping both out of the free objects. Order 3 is the limit, so that a
/// slab can still be had from fragmented memory.
public struct SizeClass: Equatable, Sendable {
    /// The position in the table, `0 ..< SizeClass.count`.
    public let index: Int

    /// The number of classes.
    public static let count = 13

    /// The largest object of any class in bytes; larger requests go to the buddy.
    public static let largestByteCount: UInt = 8192

    @inline(__always)
    init(index: Int) { self.index = index }

    /// The smallest class whose objects have `byteCount` bytes; nil above `largestByteCount`. 0 gets the class of 1.
    ///
    /// No table in memory, so that nothing is initialised lazily, and a size known at compile time folds to a constant.
    /// - Complexity: O(1), about ten instructions, no division.
    @inline(__always)
    public init?(fitting byteCount: UInt) {
        guard byteCount <= Self.largestByteCount else { return nil }
        // log2 rounded up, of at least 8: 3 ... 13. Below 1 there is nothing to subtract.
        let last = byteCount == 0 ? 0 : byteCount &- 1
        let shift = UInt.bitWidth &- (last | 7).leadingZeroBitCount
        // The class of each power of two from 8 on, four bits each; 4 and 6, left out, are 96 and 192.
        let powers: UInt64 = 0xcba_9875_3210
        let power = Int(truncatingIfNeeded: (powers &>> UInt64(truncatingIfNeeded: (shift &- 3) &* 4)) & 15)
        // 65 ... 96 and 129 ... 192 have a class of their own, just below that of the next power of two.
        let isBetween = last &- 64 < 32 || last &- 128 < 64
        index = power &- (isBetween ? 1 : 0)
    }

    /// The size of the class's objects in bytes.
    public var byteCount: UInt {
        switch index {
        case 4: 96
        case 6: 192
        case ...3: 8 << UInt(index)
        case 5: 128
        default: 256 << UInt(index - 7)
        }
    }

    /// The order of a slab's block.
    var order: Int {
        switch index {
        case ...5: 0
        case ...8: 1
        case 9: 2
        default: 3
        }
    }

    /// The number of objects that a CPU's magazine holds.
    var magazineDepth: Int {
        switch index {
        case ...7: 64
        case ...9: 32
        default: 16
        }
    }

    /// The cache's name, as `slabinfo` shows it.
    func name(isDMA: Bool) -> StaticString {
        switch index {
        case 0: isDMA ? "dma-kmalloc-8" : "kmalloc-8"
        case 1: isDMA ? "dma-kmalloc-16" : "kmalloc-16"
        case 2: isDMA ? "dma-kmalloc-32" : "kmalloc-32"
        case 3: isDMA ? "dma-kmalloc-64" : "kmalloc-64"
        case 4: isDMA ? "dma-kmalloc-96" : "kmalloc-96"
        case 5: isDMA ? "dma-kmalloc-128" : "kmalloc-128"
        case 6: isDMA ? "dma-kmalloc-192" : "kmalloc-192"
        case 7: isDMA ? "dma-kmalloc-256" : "kmalloc-256"
        case 8: isDMA ? "dma-kmalloc-512" : "kmalloc-512"
        case 9: isDMA ? "dma-kmalloc-1k" : "kmalloc-1k"
        case 10: isDMA ? "dma-kmalloc-2k" : "kmalloc-2k"
        case 11: isDMA ? "dma-kmalloc-4k" : "kmalloc-4k"
        default: isDMA ? "dma-kmalloc-8k" : "kmalloc-8k"
        }
    }
}
