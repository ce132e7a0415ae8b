/// One of kmalloc's object sizes: 8 to 8192 bytes.
///
///     8 16 24 32 64      80 96 112 128   160 192 224 256          steps of a quarter
///     288 320 ... 512    576 640 ... 1024    1152 1280 ... 2048    steps of an eighth
///     2560 3072 3584 4096    5120 6144 8192
///
/// Most of a kernel's bytes are in objects above 256: there an object is on average 4 % larger than what was asked for,
/// where powers of two lose 33 %. A power of two is a class of its own and aligned to itself; the others are aligned to
/// the largest power of two that divides them. So a size that is a multiple of an alignment gets a class that is aligned
/// to it.
public struct SizeClass: Equatable, Sendable {
    /// The position in the table, `0 ..< SizeClass.count`.
    public let index: Int

    /// The number of classes.
    public static let count = 44

    /// The largest object of any class in bytes; larger requests go to the buddy.
    @inline(__always)
    public static var largestByteCount: UInt { 8192 }

    @inline(__always)
    init(index: Int) { self.index = index }

    /// The smallest class whose objects have `byteCount` bytes; nil above `largestByteCount`. 0 gets the class of 1.
    /// - Complexity: O(classes): for setting up. `Kmalloc` looks sizes up in a table.
    public init?(fitting byteCount: UInt) {
        guard byteCount <= Self.largestByteCount else { return nil }
        var index = 0
        while Self(index: index).byteCount < byteCount { index += 1 }
        self.index = index
    }

    /// The size of the class's objects in bytes.
    public var byteCount: UInt {
        let index = UInt(bitPattern: index)
        switch index {
        case ...3: return 8 * (index + 1)
        case ...8: return 64 + 16 * (index - 4)
        case ...12: return 128 + 32 * (index - 8)
        case ...36:
            let doubling = (index - 13) / 8
            return (256 + 32 * ((index - 13) % 8 + 1)) << doubling
        case ...40: return 2048 + 512 * (index - 36)
        case 41: return 5120
        case 42: return 6144
        default: return 8192
        }
    }
}
