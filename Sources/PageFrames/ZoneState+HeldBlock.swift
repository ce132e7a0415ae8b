/// A block that is free, but not yet merged with its buddies.
struct HeldBlock {
    var frame: UInt32
    /// log2 of its frames; `noOrder` where there is no block.
    var order: UInt32

    @inline(__always)
    private static var noOrder: UInt32 { .max }

    @inline(__always)
    static var none: HeldBlock { HeldBlock(frame: 0, order: noOrder) }

    @inline(__always)
    var isNone: Bool { order == Self.noOrder }
}

// A block that is freed and allocated again at once would be merged, order by order, only to be split again. So the first
// block that is freed after an allocation is held back, and merged when the next allocation turns out to want another.
//
//     free  --> held  --the next allocation asks for just such a block--> in use again
//                |
//                +------any other call that looks at the zone----------> merged, in the page blocks
//
// It is one block for a zone. Only two calls find it, `freeLazily` and `allocateReadily`: all others come through
// `Zone.withState`, which merges it first, and so find every free block in the page blocks and no two buddies apart. To
// the counts of frames and calls a held block is free.
//
// What lies beyond the page block that was chosen last is not held: given to the next request, it would keep the upper end
// of memory from becoming whole. The rings of the frame caches have a limit for the same reason.
extension ZoneState {
    /// Takes back a block that was in use, and holds it if none is held. - Complexity: O(orders).
    @inline(__always)
    mutating func freeLazily(_ frame: UInt32, order: Int) {
        freeFrames &+= 1 &<< UInt(bitPattern: order)
        frees &+= 1
        if held.isNone, frame < heldLimit {
            held = HeldBlock(frame: frame, order: UInt32(truncatingIfNeeded: order))
        } else {
            buddy.put(frame, order: order)
        }
    }

    /// As `allocate`, but the held block, or one of page blocks of the request's own mobility, and without counting
    /// failures: for a caller who asks again in full.
    @inline(__always)
    mutating func allocateReadily(_ request: ZoneRequest) -> UInt32? {
        // Before the marks are looked at: frames that are set aside are counted when they are merged.
        if !isHeld(request) { settle() }
        guard canSpare(request), !mustChoose(request.mobility) else { return nil }
        let frame: UInt32
        if held.isNone {
            guard let chosen = buddy.take(order: request.order, request.mobility) else { return nil }
            frame = chosen
            noteChoice(frame)
        } else {
            frame = held.frame
            held = .none
        }
        freeFrames &-= request.frameCount
        allocations &+= 1
        return frame
    }

    /// Whether the held block is just what a request asks for.
    @inline(__always)
    private func isHeld(_ request: ZoneRequest) -> Bool {
        Int(held.order) == request.order && buddy.place(held.frame &>> 9).mobility == request.mobility
    }

    /// Merges the held block, if there is one, with its buddies.
    @inline(__always)
    mutating func settle() { if !held.isNone { settleHeld() } }

    @inline(never)
    private mutating func settleHeld() {
        let block = held
        held = .none
        buddy.put(block.frame, order: Int(block.order))
    }

    /// Notes which page block was chosen last.
    @inline(__always)
    mutating func noteChoice(_ frame: UInt32) { heldLimit = (frame | (PageBlock.frameCount &- 1)) &+ 1 }
}
