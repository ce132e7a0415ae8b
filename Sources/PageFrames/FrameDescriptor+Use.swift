/// A descriptor's second half as read in one step: what a frame is used for, by how many.
struct FrameUse {
    let bits: UInt64

    @inline(__always)
    init(_ bits: UInt64) { self.bits = bits }

    /// References to the block.
    @inline(__always)
    var count: UInt32 { UInt32(truncatingIfNeeded: bits) }

    /// The owner's tag.
    @inline(__always)
    var tag: UInt16 { UInt16(truncatingIfNeeded: bits >> 32) }

    @inline(__always)
    var state: FrameState { FrameState(rawValue: UInt8(truncatingIfNeeded: bits >> 48)) }

    /// log2 of the block's size in frames.
    @inline(__always)
    var order: Int { Int(truncatingIfNeeded: bits >> 56) }

    /// True for the head of a block that was allocated, claimed by nobody, and whose references count.
    @inline(__always)
    var isReferenced: Bool { count != 0 && (state == .allocatedHead || state == .compoundHead) }

    /// The same block without its order: what is left of one that is cut into single frames.
    @inline(__always)
    var asSingleFrame: FrameUse { FrameUse(bits & (1 << 56 - 1)) }
}
