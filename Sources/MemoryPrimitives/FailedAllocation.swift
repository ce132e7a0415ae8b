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
        /// Nothing: the addresses of a device cannot be mapped, as `reason` says.
        case deviceAddresses
        /// Room in the pool through which devices reach memory that is too high for them.
        case bounceSlots
        /// Memory to note the area down in.
        case notes
    }

    /// What there was too little of.
    public var lack: Lack
    /// log2 of the number of frames; 0 for an area.
    public var order: Int

    /// The request's flags, in the bits of `AllocationFlags` and of Linux.
    public var flags: UInt32
    /// Bytes of the area, its guard pages included where addresses are lacking; 0 for frames.
    public var byteCount: UInt

    /// The first physical address that was to be mapped; 0 where none was.
    public var address: UInt = 0
    /// Why it cannot be, in words.
    public var reason: StaticString = ""
    /// The slots of the pool that is full, and how many of them are in use; 0 where there is no pool.
    public var slots: UInt = 0
    /// How many of `slots` are in use.
    public var usedSlots: UInt = 0

    /// A request for 2^`order` frames with the bits of `AllocationFlags`, for which there were no frames.
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
    /// `byteCount` bytes of a device from `address` on that cannot be mapped.
    public init(mapping address: UInt, byteCount: UInt, reason: StaticString) {
        self.init(areaOf: byteCount, lack: .deviceAddresses, flags: 0)
        self.address = address
        self.reason = reason
    }
    /// A buffer of `byteCount` bytes that a pool of `slots` slots has no room for, `used` of which are in use.
    public init(bouncing byteCount: UInt, slots: UInt, used: UInt) {
        self.init(areaOf: byteCount, lack: .bounceSlots, flags: 0)
        self.slots = slots
        usedSlots = used
    }
}
