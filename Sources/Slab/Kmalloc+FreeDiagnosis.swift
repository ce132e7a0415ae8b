import MemoryPrimitives
import PageFrames

extension Kmalloc {
    /// What is wrong with an address that is not an allocated object or block. - Complexity: O(orders).
    func diagnose(_ address: UInt, in call: StaticString) -> MemoryViolation {
        func violation(_ kind: MemoryViolation.Kind, _ detail: StaticString, _ value: UInt = 0) -> MemoryViolation {
            MemoryViolation(kind, in: call, at: address, detail, value)
        }
        let frame = frame(of: address)
        guard let slab = slab(of: address) else {
            switch blockState(covering: frame) {
            case .free: return violation(.doubleFree, "the address lies in free memory")
            case .allocated(let order, let isLarge) where isLarge:
                return violation(
                    .misalignedFree, "the address lies within a block of this size", PageSize.byteCount << UInt(order))
            default: return violation(.wildFree, "the address is not kmalloc's")
            }
        }
        let layout = slab.cache(on: P.self).value.layout
        guard let index = slab.index(of: address) else {
            if address &- slab.base < layout.slotSize &* UInt(layout.objectCount) {
                return violation(.misalignedFree, "the address lies within an object of this size", layout.objectSize)
            }
            return violation(
                .wildFree, "the address lies behind the objects of a slab of this size", layout.objectSize)
        }
        switch slab.state(index) {
        case .free, .allocated, .waiting, .seen:
            return violation(.doubleFree, "the object of this size is free", layout.objectSize)
        case .reserved:
            return violation(.doubleFree, "the object of this size is in a pool's reserve", layout.objectSize)
        default: return violation(.corruption, "the object's state is damaged, for this size", layout.objectSize)
        }
    }

    private enum BlockState {
        case free
        case allocated(order: Int, isLarge: Bool)
        case other
    }

    /// The block that `frame` lies in, its head or not. - Complexity: O(orders).
    private func blockState(covering frame: PageFrameNumber) -> BlockState {
        if let block = frames.value.block(covering: frame) {
            let isLarge = frames.value.tag(of: block.head) == LargeBlocks<P>.tag
            return block.state == .allocatedHead ? .allocated(order: block.order, isLarge: isLarge) : .other
        }
        // A frame in no block that is in use is free, in a zone or in a frame cache, or was never handed out.
        switch frames.value.state(of: frame) {
        case .free, .interior: return .free
        default: return .other
        }
    }
}
