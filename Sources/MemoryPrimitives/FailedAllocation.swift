/// A request for page frames that could not be met.
public struct FailedAllocation: Sendable {
    /// log2 of the number of frames.
    public var order: Int

    /// The request's flags, in the bits of `AllocationFlags` and of Linux.
    public var flags: UInt32

    public init(order: Int, flags: UInt32) {
        self.order = order
        self.flags = flags
    }
}
