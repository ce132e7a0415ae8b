/// A request for page frames, or for an area of address space, that could not be met.
public struct FailedAllocation: Sendable {
    /// What was lacking.
    public enum Lack: UInt8, Sendable {
        /// A block of page frames.
        case frames
        /// A gap between the areas of address space.
        case addresses
        /// Frames to be promised for all pages of an area, or there are not so many at all.
        case areaFrames
        /// Memory to note the area down in.
        case notes
    }

    public var lack: Lack
    /// log2 of the number of frames; 0 for an area.
    public var order: Int

    /// The request's flags, in the bits of `AllocationFlags` and of Linux.
    public var flags: UInt32
    /// Bytes of the area, its guard pages included where addresses are lacking; 0 for frames.
    public var byteCount: UInt

    public init(order: Int, flags: UInt32) {
        lack = .frames
        self.order = order
        self.flags = flags
        byteCount = 0
    }

    /// An area of `byteCount` bytes that could not be had for lack of `lack`.
    public init(areaOf byteCount: UInt, lack: Lack, flags: UInt32) {
        self.lack = lack
        order = 0
        self.flags = flags
        self.byteCount = byteCount
    }
}
