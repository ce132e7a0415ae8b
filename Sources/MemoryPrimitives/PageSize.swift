/// The page sizes of x86-64 paging.
public enum PageSize: UInt8, Comparable, Sendable {
    /// 4096 bytes: an entry of a last-level table.
    case size4KiB = 0
    /// 2 MiB: an entry one level above, which needs no last-level table.
    case size2MiB = 1
    /// 1 GiB: an entry two levels above, where the CPU has such pages.
    case size1GiB = 2

    /// log2 of the smallest page's size.
    public static let shift: UInt = 12

    /// The smallest page's size in bytes.
    public static let byteCount: UInt = 4096

    /// log2 of this page's size in bytes: 12, 21 or 30.
    @inline(__always)
    public var shift: UInt { 12 + 9 * UInt(rawValue) }

    /// This page's size in bytes.
    @inline(__always)
    public var byteCount: UInt { 1 << shift }

    /// This page's size in 4 KiB frames: 1, 512 or 262144.
    @inline(__always)
    public var frameCount: UInt { 1 << (9 * UInt(rawValue)) }

    /// Orders sizes from small to large.
    @inline(__always)
    public static func < (left: PageSize, right: PageSize) -> Bool { left.rawValue < right.rawValue }
}

/// The number of 4 KiB pages that `bytes` need.
@inline(__always)
public func pageCount(forBytes bytes: UInt) -> UInt {
    (bytes >> PageSize.shift) + (bytes & (PageSize.byteCount &- 1) == 0 ? 0 : 1)
}
