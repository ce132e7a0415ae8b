/// A descriptor's second half as read in one step: what a frame is used for, by how many.
struct FrameUse {
    let bits: UInt64

    @inline(__always)
    init(_ bits: UInt64) { self.bits = bits }

    /// One reference more, as a difference of bits.
    @inline(__always)
    static var reference: UInt64 { 1 << 32 }

    /// References to the block; 0 where none are counted.
    @inline(__always)
    var count: UInt32 { isReferenced ? UInt32(truncatingIfNeeded: bits &>> 32) &+ 1 : 0 }

    /// The bits of the references beyond the first.
    @inline(__always)
    static var extraMask: UInt64 { 0xffff_ffff << 32 }

    /// True where there are references beyond the first, though the block was claimed since and counts no others.
    @inline(__always)
    var isClaimedWithReferences: Bool { (state == .slab || state == .table) && bits & Self.extraMask != 0 }

    /// The bits of the owner's tag.
    @inline(__always)
    static var tagMask: UInt64 { 0xffff << 16 }

    /// The owner's tag.
    @inline(__always)
    var tag: UInt16 { UInt16(truncatingIfNeeded: bits &>> 16) }

    @inline(__always)
    var state: FrameState { FrameState(rawValue: UInt8(truncatingIfNeeded: bits &>> 8)) }

    /// log2 of the block's size in frames.
    @inline(__always)
    var order: Int { Int(bits & 0xff) }

    /// True for the head of a block that was allocated, claimed by nobody, and whose references count.
    @inline(__always)
    var isReferenced: Bool { state == .allocatedHead || state == .compoundHead }

    /// The same block without its order: what is left of one that is cut into single frames.
    @inline(__always)
    var asSingleFrame: FrameUse { FrameUse(bits & ~0xff) }
}
