import MemoryPrimitives
import Synchronization

extension FrameTable {
    /// What is wrong with freeing `frame` as a block of `order`, which is not the head of an allocated block of that
    /// order. - Complexity: O(orders). Under the lock of the frame's zone.
    @inline(never)
    func diagnoseFree(_ frame: PageFrameNumber, order: Int) -> MemoryViolation {
        func violation(_ kind: MemoryViolation.Kind, _ detail: StaticString, _ value: UInt) -> MemoryViolation {
            MemoryViolation(kind, in: "__free_pages", at: frame.rawValue << PageSize.shift, detail, value)
        }
        guard 0 <= order, order <= BlockOrder.highest else {
            return violation(.wrongOrder, "there is no such order", UInt(bitPattern: order))
        }
        if frame.rawValue & (1 << UInt(order) - 1) != 0 {
            return violation(.misalignedFree, "the frame is not aligned to the order", UInt(order))
        }
        guard let descriptor = unsafe descriptor(of: frame) else {
            return violation(.wildFree, "the frame was never handed out", UInt(order))
        }
        // The descriptor is the table's own; others may free the block just now.
        let found = unsafe descriptor.snapshot
        switch found.state {
        case .allocatedHead, .compoundHead:
            return diagnoseBlock(found, violation)
        case .slab, .slabTail:
            return violation(.wildFree, "the frame belongs to a slab", unsafe descriptor.pointee.owner)
        case .table:
            return violation(.wildFree, "the frame is a page table", unsafe descriptor.pointee.owner)
        case .guardPage:
            return violation(.wildFree, "the frame is a guard page", UInt(found.order))
        case .reserved:
            return violation(.wildFree, "the frame is reserved", 0)
        case .absent:
            return violation(.wildFree, "the frame is not RAM that was ever free", 0)
        case .interior:
            if let free = freeOrder(covering: frame) {
                let isHead = frame.rawValue & (1 << UInt(free) - 1) == 0
                return violation(
                    .doubleFree, isHead ? "the block is free" : "the frame lies within a free block", UInt(free))
            }
            switch head(covering: frame).state {
            case .allocatedHead, .compoundHead:
                return violation(.freeOfTail, "the frame lies within a larger block", UInt(order))
            case .table: return violation(.wildFree, "the frame is a page table", UInt(order))
            case .guardPage: return violation(.wildFree, "the frame is a guard page", UInt(order))
            default: return violation(.doubleFree, "the block is free, in a frame cache", UInt(order))
            }
        default:
            return violation(.corruption, "the frame's state is damaged", UInt(found.state.rawValue))
        }
    }

    /// What is wrong with freeing the head of a block in use.
    private func diagnoseBlock(
        _ found: FrameDescriptor, _ violation: (MemoryViolation.Kind, StaticString, UInt) -> MemoryViolation
    ) -> MemoryViolation {
        if found.tag != 0 { return violation(.wildFree, "the block is tagged by its owner", UInt(found.tag)) }
        return violation(.wrongOrder, "the block was allocated with another order", UInt(found.order))
    }

    /// The order of the free block in a zone that `frame`, which has a descriptor, lies in; nil where there is none.
    /// - Complexity: O(orders). Under the zone's lock.
    func freeOrder(covering frame: PageFrameNumber) -> Int? {
        let number = UInt32(truncatingIfNeeded: frame.rawValue)
        let block = number >> UInt32(PageBlock.order)
        if pageBlock(block & ~1).isFreeSection { return BlockOrder.highest }
        for order in 0...PageBlock.order where pageBlock(block).isFree(PageBlock.node(of: number, order: order)) {
            return order
        }
        return nil
    }

    /// The head of the block in use that `frame`, which has a descriptor, lies in, and its frame. Where there is none
    /// the state is `interior`. - Complexity: O(orders). Needs no lock if the caller has the block.
    @inline(__always)
    func head(covering frame: PageFrameNumber) -> (frame: PageFrameNumber, state: FrameState, order: Int) {
        for order in 0...BlockOrder.highest {
            let start = PageFrameNumber(frame.rawValue & ~(1 << UInt(order) - 1))
            // Each candidate lies in the frame's own section, which has descriptors.
            guard let head = unsafe descriptor(of: start) else { continue }
            let found = FrameUse(unsafe head.use.pointee.load(ordering: .relaxed))
            if found.state.isHead {
                // The nearest head below decides: blocks do not overlap.
                return found.order >= order ? (start, found.state, found.order) : (frame, .interior, 0)
            }
        }
        return (frame, .interior, 0)
    }
}
