import MemoryPrimitives

/// What `page_owner=on` notes down of a frame: who had it last, or has it now. Zero bytes are a frame without a history.
public struct FrameHistory: Sendable {
    /// Whether the frame has been handed out since boot.
    var isKnown = false

    /// Whether it is handed out now.
    public internal(set) var isAllocated = false

    /// log2 of the frames of the block that it was handed out with.
    public internal(set) var order: UInt8 = 0

    /// The CPU that allocated the block, and the one that freed it last.
    public internal(set) var allocatingCPU: UInt16 = 0
    /// The CPU that freed the block last.
    public internal(set) var freeingCPU: UInt16 = 0

    /// What the block was asked for with.
    public internal(set) var flags = AllocationFlags.none

    /// The cycle counter at the latest allocation, and at the latest free; 0 where there was none.
    public internal(set) var allocationTime: UInt64 = 0
    /// The cycle counter at the latest free; 0 where there was none.
    public internal(set) var freeTime: UInt64 = 0

    /// Who called for the latest allocation, and for the latest free.
    public internal(set) var allocationTrace = StackTrace()
    /// Who called for the latest free.
    public internal(set) var freeTrace = StackTrace()

    /// No history.
    init() {}
}
