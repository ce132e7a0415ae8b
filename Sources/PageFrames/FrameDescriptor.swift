import Synchronization

/// What is known about one 4 KiB page frame, in 16 bytes.
///
/// The head of a block in use belongs to the block's owner, who may keep a word and a tag there without taking a lock.
/// See `FrameState` for who moves a frame from one state to the next. The second half is also one 64-bit number, the
/// frame's *use*, which allocation and free change in one atomic step: of two CPUs that free the same block, one finds
/// it free.
///
///     bits  0-7    8-15   16-31  32-63
///           order  state  tag    references beyond the first
public struct FrameDescriptor: Sendable {
    /// The owner's word, such as the address of a slab's header; 0 after allocation.
    public var owner: UInt = 0

    /// log2 of the block's size in frames; valid where `state` is that of a head.
    public internal(set) var order: UInt8

    /// What the frame is used for; see `FrameState` for who changes it.
    public internal(set) var state: FrameState

    /// The owner's to use; 0 after allocation. A block is freed with tag 0.
    public var tag: UInt16 = 0

    /// References to a block in use beyond its first (see `getPage`). Counted so, a block just allocated has no bit set
    /// but those of order and state, and is recognised by one comparison with a small number.
    public internal(set) var extraReferences: UInt32 = 0

    @inline(__always)
    init(_ state: FrameState, order: UInt8 = 0) {
        self.state = state
        self.order = order
    }

    /// The use of a block's head that has one reference and no tag.
    @inline(__always)
    static func use(_ state: FrameState, order: Int) -> UInt64 {
        // Orders have 8 bits.
        UInt64(UInt(bitPattern: order)) &+ UInt64(state.rawValue) &<< 8
    }

    /// What a use says, as a descriptor without its owner's word.
    @inline(__always)
    init(use: UInt64) {
        order = UInt8(truncatingIfNeeded: use)
        state = FrameState(rawValue: UInt8(truncatingIfNeeded: use &>> 8))
        tag = UInt16(truncatingIfNeeded: use &>> 16)
        extraReferences = UInt32(truncatingIfNeeded: use &>> 32)
    }

    /// The use of a frame that no block in use begins at.
    @inline(__always)
    static var unused: UInt64 { 0 }

    /// True for the first frame of a block of `order` in `state`.
    @inline(__always)
    func isHead(_ state: FrameState, order: Int) -> Bool { self.state == state && Int(self.order) == order }
}

extension UnsafeMutablePointer where Pointee == FrameDescriptor {
    /// The descriptor's second half as one number.
    @inline(__always)
    var use: UnsafeMutablePointer<Atomic<UInt64>> {
        // Bytes 8 to 15 of the descriptor, which is aligned to 8; an `Atomic` has its value's layout.
        unsafe (UnsafeMutableRawPointer(self) + 8).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// The descriptor without its owner's word, read in one step: for whoever does not have the block, while others may
    /// allocate or free it.
    @inline(__always)
    var snapshot: FrameDescriptor { unsafe FrameDescriptor(use: use.pointee.load(ordering: .relaxed)) }
}
