import MemoryPrimitives

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
        // The descriptor is the table's own, and the caller holds the lock.
        let found = unsafe descriptor.pointee
        switch found.state {
        case .freeHead:
            return violation(.doubleFree, "the block is free", UInt(found.order))
        case .allocatedHead:
            return violation(.wrongOrder, "the block was allocated with another order", UInt(found.order))
        case .slab, .slabTail:
            return violation(.wildFree, "the frame belongs to a slab", found.owner)
        case .table:
            return violation(.wildFree, "the frame is a page table", found.owner)
        case .reserved:
            return violation(.wildFree, "the frame is reserved", 0)
        case .absent:
            return violation(.wildFree, "the frame is not RAM that was ever free", 0)
        case .interior:
            switch headState(covering: frame) {
            case .freeHead: return violation(.doubleFree, "the frame lies within a free block", UInt(order))
            case .allocatedHead: return violation(.freeOfTail, "the frame lies within a larger block", UInt(order))
            case .table: return violation(.wildFree, "the frame is a page table", UInt(order))
            default: return violation(.corruption, "the frame lies within no block", UInt(order))
            }
        default:
            return violation(.corruption, "the frame's state is damaged", UInt(found.state.rawValue))
        }
    }

    /// The state of the block that a frame in state `interior` lies in; `interior` where there is none.
    private func headState(covering frame: PageFrameNumber) -> FrameState {
        for order in 1...BlockOrder.highest {
            let start = PageFrameNumber(frame.rawValue & ~(1 << UInt(order) - 1))
            // Each candidate lies in the frame's own section, which has descriptors.
            if let head = unsafe descriptor(of: start), unsafe head.pointee.state.isHead {
                // The nearest head below decides: blocks do not overlap.
                return unsafe Int(head.pointee.order) >= order ? head.pointee.state : .interior
            }
        }
        return .interior
    }
}
