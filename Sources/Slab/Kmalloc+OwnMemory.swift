import MemoryPrimitives
import PageFrames

extension Kmalloc {
    /// Calls `body` with memory that kmalloc has taken for itself and that may refer to objects, such as the descriptions
    /// of other caches: the list of caches, and the caches that are there from the start.
    public func forEachOwnMemory(_ body: (VirtualRange) -> Void) {
        body(caches.memory)
        // One after the other in a block: the caches for sizes, those for DMA, and the one for descriptions.
        let start = VirtualAddress(cache(serving: 1).value.address)
        let byteCount = cacheOfCaches.value.address &+ UInt(SlabCache<P>.byteCount) &- start.rawValue
        body(VirtualRange(start, start + byteCount))
    }
}
