import MemoryPrimitives
import PageFrames

extension SlabCache {
    /// What is wrong with an address that is no allocated object of this cache. - Complexity: O(1).
    func diagnose(_ object: UInt, in call: StaticString) -> MemoryViolation {
        func violation(_ kind: MemoryViolation.Kind, _ detail: StaticString, _ value: UInt = 0) -> MemoryViolation {
            MemoryViolation(kind, in: call, at: object, detail, value)
        }
        guard let slab = slab(of: object) else {
            let physical = frames.value.directMap.physicalAddress(of: VirtualAddress(object))
            let frame = PageFrameNumber(containing: physical)
            let isInUse = frames.value.block(covering: frame) != nil
            switch frames.value.state(of: frame) {
            // In a zone, or in a frame cache.
            case .free,
                .interior where !isInUse:
                return violation(.doubleFree, "the address lies in free memory")
            default: return violation(.wildFree, "the address is no cache's")
            }
        }
        let owner = slab.cache(on: P.self)
        guard let index = slab.index(of: object) else {
            if object &- slab.base < owner.value.layout.slotSize &* UInt(slab.objectCount) {
                return violation(
                    .misalignedFree, "the address lies within an object of this size", owner.value.objectSize)
            }
            return violation(
                .wildFree, "the address lies behind the objects of a slab of this size", owner.value.objectSize)
        }
        if owner.value.address != address {
            return violation(
                .wrongCache, "the object is another cache's, whose objects have this size",
                owner.value.objectSize)
        }
        switch slab.state(index) {
        case .free, .allocated, .waiting, .seen:
            return violation(.doubleFree, "the object of this size is free", owner.value.objectSize)
        case .reserved:
            return violation(.doubleFree, "the object of this size is in a pool's reserve", owner.value.objectSize)
        default:
            return violation(.corruption, "the object's state is damaged, for this size", owner.value.objectSize)
        }
    }
}
