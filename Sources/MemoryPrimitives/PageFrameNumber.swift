/// The number of a 4 KiB page frame: its physical address divided by 4096.
public struct PageFrameNumber: RawRepresentable, Comparable, Hashable, Sendable {
    /// The physical address divided by 4096.
    public var rawValue: UInt

    /// The frame with this number.
    @inline(__always)
    public init(rawValue: UInt) { self.rawValue = rawValue }

    /// The frame with this number.
    @inline(__always)
    public init(_ rawValue: UInt) { self.rawValue = rawValue }

    /// The frame that contains `address`.
    @inline(__always)
    public init(containing address: PhysicalAddress) { rawValue = address.rawValue >> PageSize.shift }

    /// The physical address of the frame's first byte.
    @inline(__always)
    public var address: PhysicalAddress { PhysicalAddress(rawValue << PageSize.shift) }

    /// Orders frames by their place in memory.
    @inline(__always)
    public static func < (left: PageFrameNumber, right: PageFrameNumber) -> Bool { left.rawValue < right.rawValue }

    /// The frame `count` further on.
    @inline(__always)
    public static func + (frame: PageFrameNumber, count: UInt) -> PageFrameNumber {
        PageFrameNumber(frame.rawValue &+ count)
    }
}
