import MemoryPrimitives
import Synchronization

// Whoever has a block may note down in its descriptor what it is used for, so that an address leads to its owner.
extension PageFrameAllocator {
    /// The descriptor of `frame`; nil for a frame that was never handed out: no RAM, or not yet brought into use.
    ///
    /// Owner, count and tag of a block's head are the block's owner's to read and write without a lock.
    /// - Complexity: O(1), a handful of instructions.
    @inline(__always)
    public func descriptor(of frame: PageFrameNumber) -> UnsafeMutablePointer<FrameDescriptor>? {
        unsafe table.descriptor(of: frame)
    }

    /// What `frame` is used for; `absent` for one that was never handed out. A snapshot, unless the caller owns it. A
    /// frame in a frame cache is `interior`. - Complexity: O(orders).
    @inline(__always)
    public func state(of frame: PageFrameNumber) -> FrameState {
        guard let descriptor = unsafe descriptor(of: frame) else { return .absent }
        // The table's own descriptor, which is never given back.
        let state = unsafe descriptor.snapshot.state
        if state != .interior { return state }
        let isFree = zone(of: frame).value.withState { _ in table.freeOrder(covering: frame) != nil }
        return isFree ? .free : .interior
    }

    /// True for a frame of RAM that was given to the allocator. - Complexity: O(1).
    @inline(__always)
    public func manages(_ frame: PageFrameNumber) -> Bool {
        guard let descriptor = unsafe descriptor(of: frame) else { return false }
        // The table's own descriptor, which is never given back.
        return unsafe descriptor.snapshot.state != .absent
    }

    /// True when all of `frames` are such frames. - Complexity: O(frames).
    public func manages(allOf frames: UnsafeBufferPointer<PageFrameNumber>) -> Bool {
        let table = table
        var index = 0
        while index < frames.count {
            // Within the buffer, by the comparison.
            guard let descriptor = unsafe table.descriptor(of: frames[index]),
                unsafe descriptor.snapshot.state != .absent
            else { return false }
            index &+= 1
        }
        return true
    }

    /// The order of the block in use whose first frame this is; 0 for any other frame. The caller owns the block.
    /// - Complexity: O(1).
    @inline(__always)
    public func order(ofBlockAt frame: PageFrameNumber) -> Int {
        guard let descriptor = unsafe descriptor(of: frame) else { return 0 }
        // The table's own descriptor, which is never given back.
        let snapshot = unsafe descriptor.snapshot
        return snapshot.state == .allocatedHead ? Int(snapshot.order) : 0
    }

    /// The block in use that `frame` lies in, its head or another frame of it: Linux's `compound_head`, for every block.
    /// nil where there is none. A snapshot, unless the caller has the block. - Complexity: O(orders).
    @inline(__always)
    public func block(covering frame: PageFrameNumber) -> (head: PageFrameNumber, state: FrameState, order: Int)? {
        let found = table.head(covering: frame)
        return found.state == .interior ? nil : (found.frame, found.state, found.order)
    }

    /// The owner's word of a frame that is a slab's (any frame of it) or the head of an allocated block; else nil.
    /// - Complexity: O(1).
    @inline(__always)
    public func owner(of frame: PageFrameNumber) -> UInt? {
        guard let descriptor = unsafe descriptor(of: frame) else { return nil }
        // The table's own descriptor, which is never given back, and whose state others may be changing.
        switch unsafe descriptor.snapshot.state {
        case .slab, .slabTail, .table, .allocatedHead, .compoundHead: return unsafe descriptor.pointee.owner
        default: return nil
        }
    }

    /// The owner's tag of the head of a block that is handed out; else nil. - Complexity: O(1).
    @inline(__always)
    public func tag(of frame: PageFrameNumber) -> UInt16? {
        guard let descriptor = unsafe descriptor(of: frame) else { return nil }
        // As above.
        let found = unsafe descriptor.snapshot
        switch found.state {
        case .slab, .table, .allocatedHead, .compoundHead: return found.tag
        default: return nil
        }
    }

    /// Notes `tag` down for a block that the caller has. Anything but its first frame is an error: reported as
    /// `corruption`, and nothing changes. - Complexity: O(1).
    @inline(__always)
    public func setTag(_ tag: UInt16, of frame: PageFrameNumber) {
        guard self.tag(of: frame) != nil, let descriptor = unsafe descriptor(of: frame) else {
            P.report(
                MemoryViolation(.corruption, in: "setTag", at: frame.address.rawValue, "no block begins here"))
            return
        }
        // The block is the caller's, and so is this field.
        unsafe descriptor.pointee.tag = tag
    }

    /// Exchanges the tag of a block that is allocated with one reference, if it is `expected`; of two CPUs that try at
    /// once, one can.
    ///
    /// - Returns: the block's order; nil, with nothing changed, where no block with that tag begins at `frame`.
    /// - Complexity: O(1). Callable from any context.
    @inline(__always)
    public func exchangeTag(of frame: PageFrameNumber, from expected: UInt16, to tag: UInt16) -> Int? {
        guard let descriptor = unsafe descriptor(of: frame) else { return nil }
        // The table's own descriptor, which is never given back.
        let use = unsafe descriptor.use
        let found = unsafe use.pointee.load(ordering: .relaxed)
        let order = Int(truncatingIfNeeded: found & 0xff)
        guard found == FrameDescriptor.use(.allocatedHead, order: order) | UInt64(expected) &<< 16,
            unsafe use.pointee.compareExchange(
                expected: found, desired: FrameDescriptor.use(.allocatedHead, order: order) | UInt64(tag) &<< 16,
                ordering: .acquiringAndReleasing
            ).exchanged
        else { return nil }
        return order
    }

    /// Marks a block that the caller has as a slab or a page table, so that `free` refuses it until `release`.
    ///
    /// Every frame of a slab gets the owner's word, so that any address in it leads to the slab in one look-up. A block
    /// that is not allocated with `order` is an error: reported as `corruption`, and nothing changes. References that
    /// others have to the block, such as speculative ones, do not matter: each is dropped by `putPage` as ever, and one
    /// that outlives `release` and `free` keeps the first frame.
    ///
    /// - Parameters:
    ///   - frame: the block's first.
    ///   - order: what the block was allocated with.
    ///   - state: `.slab` or `.table`.
    ///   - owner: a word that the owner chooses, such as the address of the slab's header.
    ///   - tag: 16 bits more of the owner's choice, beside its word.
    /// - Complexity: O(frames) for a slab, O(1) for a table.
    public func claim(
        _ frame: PageFrameNumber, order: Int, as state: FrameState, owner: UInt, tag: UInt16 = 0
    ) {
        move(frame, order: order, from: .allocatedHead, to: state, owner: owner, tag: tag, call: "claim")
        // Who claims a block hands out parts of it, or has it for good: it is not one that could be lost.
        if checks.areActive { noteBlockFree(UInt32(truncatingIfNeeded: frame.rawValue), order: order) }
    }

    /// Takes the mark off a block that was claimed as `state`: it is allocated, without owner and tag, and can be freed.
    /// A block that is not marked so is an error: reported as `corruption`, and nothing changes.
    ///
    /// - Complexity: O(frames) for a slab, O(1) for a table.
    public func release(_ frame: PageFrameNumber, order: Int, from state: FrameState) {
        move(frame, order: order, from: state, to: .allocatedHead, owner: 0, tag: 0, call: "release")
    }

    private func move(
        _ frame: PageFrameNumber, order: Int, from: FrameState, to: FrameState, owner: UInt, tag: UInt16,
        call: StaticString
    ) {
        let claimed = from == .allocatedHead ? to : from
        let isMoved =
            (claimed == .slab || claimed == .table) && 0 <= order && order <= BlockOrder.highest
            && exchangeHead(frame, order: order, from: from, to: to, owner: owner, tag: tag)
        if !isMoved {
            P.report(
                MemoryViolation(
                    .corruption, in: call, at: frame.rawValue << PageSize.shift, "the block is not in that state",
                    UInt(bitPattern: order)))
            return
        }
        if claimed == .slab, order > 0, let head = unsafe descriptor(of: frame) {
            // The block's other frames follow its head in the same section.
            for index in 1..<(1 << order) {
                unsafe head[index].owner = owner
                unsafe head[index].state = to == .slab ? .slabTail : .interior
            }
        }
    }

    /// Changes a head's state in one atomic step, so that of two that do so at once one is refused. References beyond the
    /// first stay.
    private func exchangeHead(
        _ frame: PageFrameNumber, order: Int, from: FrameState, to: FrameState, owner: UInt, tag: UInt16
    ) -> Bool {
        guard let head = unsafe descriptor(of: frame) else { return false }
        while true {
            // The table's own descriptor, which is never given back.
            let use = FrameUse(unsafe head.use.pointee.load(ordering: .relaxed))
            guard use.state == from, use.order == order, from != .allocatedHead || use.tag == 0 else { return false }
            let desired = FrameDescriptor.use(to, order: order) | UInt64(tag) << 16 | use.bits & FrameUse.extraMask
            // The owner's word first: who reads a state without the lock must not find an old word under it.
            unsafe head.pointee.owner = owner
            // Fails also where somebody has taken or dropped a reference meanwhile (see `tryGetPage`).
            if exchange(frame, use, for: desired) { return true }
        }
    }
}
