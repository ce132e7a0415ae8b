import MemoryPrimitives
import PageFrames

// What of an allocation's flags goes on to the page frames.
extension AllocationFlags {
    /// For the frames of a slab, which hold the objects of many: how far to search and what to do on failure. The cache
    /// chooses the zone, objects are cleared one by one, and a slab neither moves nor goes away when it is asked to.
    @inline(__always)
    var forSlab: AllocationFlags {
        let decided: AllocationFlags = .dma | .dma32 | .zero
        return AllocationFlags(rawValue: forLargeBlock.rawValue & ~decided.rawValue)
    }

    /// For the frames of one large object: all but what kmalloc decides. It keeps its own tag in the block's head, and
    /// memory whose address somebody holds cannot be moved.
    @inline(__always)
    var forLargeBlock: AllocationFlags {
        let decided: AllocationFlags = .movable | .reclaimable | .compound
        return AllocationFlags(rawValue: rawValue & ~decided.rawValue)
    }
}
