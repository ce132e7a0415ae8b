import MemoryPrimitives

/// Binary buddies: free blocks of 2^order frames, each aligned to its size, in one list per order.
///
///     free block of order n  --split-->  two buddies of order n-1, one handed on, one free
///     free block of order n  <--merge--  two free buddies of order n-1
///
/// A block's buddy is found by turning one bit of its frame number and, up to order 9, lies in the same section, so
/// that merging looks at one array of 1024 descriptors. The blocks' descriptors are the list's nodes. Not safe by
/// itself: the zone's lock protects it.
struct BuddyAllocator: ~Copyable {
    /// One order's free blocks, the one freed last first.
    struct FreeList {
        var head = FrameDescriptor.none
        var count: UInt32 = 0
    }

    let table: FrameTable
    private(set) var lists = InlineArray<11, FreeList>(repeating: FreeList())

    /// Bit n is set when the list of order n is not empty.
    private(set) var nonEmptyOrders: UInt32 = 0

    init(table: FrameTable) { self.table = table }

    /// Takes a block of `order` out of the lists, splitting a larger one if need be; nil where there is none.
    ///
    /// The block's head is `allocatedHead`. - Complexity: O(orders); O(1) where the order's own list is not empty.
    @inline(__always)
    mutating func take(order: Int) -> UInt32? {
        let candidates = nonEmptyOrders & (~0 << UInt32(truncatingIfNeeded: order))
        if candidates == 0 { return nil }
        let found = candidates.trailingZeroBitCount
        let frame = lists[found].head
        // The head of a list that is not empty: a block of this allocator, whose descriptor is there.
        let head = unsafe table.knownDescriptor(of: frame)
        let next = unsafe head.pointee.next
        if next != FrameDescriptor.none {
            unsafe table.knownDescriptor(of: next).pointee.previous = FrameDescriptor.none
        }
        setHead(next, order: found)
        if found != order { split(frame, from: found, to: order) }
        // The block is off the lists: its head descriptor is ours to write.
        unsafe head.pointee = FrameDescriptor(.allocatedHead, order: UInt8(truncatingIfNeeded: order))
        return frame
    }

    /// True when a block of `order` or a larger one is in the lists. - Complexity: O(1).
    @inline(__always)
    func canServe(order: Int) -> Bool { nonEmptyOrders >> UInt32(truncatingIfNeeded: order) != 0 }

    /// Puts a block into the lists, merged with its buddy for as long as that is free.
    ///
    /// The block must lie in a section that has descriptors, be aligned to its size and not be in the lists.
    /// - Complexity: O(orders).
    @inline(__always)
    mutating func put(_ frame: UInt32, order: Int) {
        let indexMask = UInt32(truncatingIfNeeded: Section.frameCount &- 1)
        let sectionStart = frame & ~indexMask
        let section = unsafe table.knownDescriptor(of: sectionStart)
        var index = frame & indexMask
        var order = order
        // Up to order 9, an index below 1024 with one bit below bit 10 turned is below 1024 again.
        unsafe section[Int(index)].state = .interior
        while order < BlockOrder.highest {
            let buddy = index ^ (1 << UInt32(truncatingIfNeeded: order))
            if unsafe !section[Int(buddy)].isHead(.freeHead, order: order) { break }
            // The buddy lies within the block's section, all of whose descriptors are there.
            remove(sectionStart | buddy, order: order)
            unsafe section[Int(buddy)].state = .interior
            index &= buddy
            order &+= 1
        }
        push(sectionStart | index, order: order)
    }

    /// Halves a block until it has order `order`; the upper halves become free blocks.
    @inline(__always)
    private mutating func split(_ frame: UInt32, from: Int, to order: Int) {
        var half = from
        while half > order {
            half &-= 1
            push(frame | (1 << UInt32(truncatingIfNeeded: half)), order: half)
        }
    }

    /// Makes the frame the head of a free block, first in its list.
    private mutating func push(_ frame: UInt32, order: Int) {
        let next = lists[order].head
        // The block belongs to nobody; its head descriptor becomes a node of the list.
        unsafe table.knownDescriptor(of: frame).pointee = FrameDescriptor(
            freeBlockOfOrder: UInt8(truncatingIfNeeded: order), next: next)
        if next != FrameDescriptor.none { unsafe table.knownDescriptor(of: next).pointee.previous = frame }
        lists[order].head = frame
        lists[order].count &+= 1
        nonEmptyOrders |= 1 << UInt32(truncatingIfNeeded: order)
    }

    /// Takes a block off the list of its order, wherever it stands there.
    @inline(__always)
    private mutating func remove(_ frame: UInt32, order: Int) {
        let descriptor = unsafe table.knownDescriptor(of: frame)
        // Links lead only to free blocks of this allocator, whose descriptors are there.
        let next = unsafe descriptor.pointee.next
        let previous = unsafe descriptor.pointee.previous
        if next != FrameDescriptor.none { unsafe table.knownDescriptor(of: next).pointee.previous = previous }
        if previous == FrameDescriptor.none {
            setHead(next, order: order)
        } else {
            unsafe table.knownDescriptor(of: previous).pointee.next = next
            lists[order].count &-= 1
        }
    }

    /// Replaces the first block of a list, which has been taken off, by the one behind it.
    @inline(__always)
    private mutating func setHead(_ next: UInt32, order: Int) {
        lists[order].head = next
        lists[order].count &-= 1
        if next == FrameDescriptor.none { nonEmptyOrders &= ~(1 << UInt32(truncatingIfNeeded: order)) }
    }
}
