/// What is known about one 4 KiB page frame, in 16 bytes.
///
/// A free block's head holds its neighbours in the free list; an allocated block's head belongs to the block's owner,
/// who may keep a word, a count and a tag there without taking a lock. `state` and `order` change only under the lock
/// of the frame's zone. See `FrameState` for who moves a frame from one state to the next.
public struct FrameDescriptor: Sendable {
    /// Free: frame numbers of the next (low half) and the previous (high half) block. Owned: the owner's word.
    private var word: UInt = 0

    /// The owner's to use; 0 after allocation.
    public var count: UInt32 = 0

    /// The owner's to use; 0 after allocation.
    public var tag: UInt16 = 0

    public internal(set) var state: FrameState

    /// log2 of the block's size in frames; valid where `state` is that of a head.
    public internal(set) var order: UInt8

    /// The link that leads nowhere. No frame has this number: memory is managed up to 16 TiB less one section.
    @inline(__always)
    static var none: UInt32 { .max }

    @inline(__always)
    init(_ state: FrameState, order: UInt8 = 0) {
        self.state = state
        self.order = order
    }

    @inline(__always)
    init(freeBlockOfOrder order: UInt8, next: UInt32) {
        word = UInt(next) | UInt(Self.none) << 32
        state = .freeHead
        self.order = order
    }

    /// The owner's word, such as the address of a slab's header; 0 after allocation. Not for free frames.
    @inline(__always)
    public var owner: UInt {
        get { word }
        set { word = newValue }
    }

    /// The next block in the free list, `none` at its end. Only for the heads of free blocks.
    @inline(__always)
    var next: UInt32 {
        get { UInt32(truncatingIfNeeded: word) }
        set { word = word & ~0xffff_ffff | UInt(newValue) }
    }

    /// The previous block in the free list, `none` at its start. Only for the heads of free blocks.
    @inline(__always)
    var previous: UInt32 {
        get { UInt32(truncatingIfNeeded: word >> 32) }
        set { word = word & 0xffff_ffff | UInt(newValue) << 32 }
    }

    /// True for the first frame of a block of `order` in `state`.
    @inline(__always)
    func isHead(_ state: FrameState, order: Int) -> Bool { self.state == state && Int(self.order) == order }
}
