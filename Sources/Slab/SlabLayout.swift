import MemoryPrimitives

/// How a cache's slabs are cut: the block's order, the number of objects, and where the header lies.
///
///     small objects:  | object 0 | object 1 | ... | object n-1 | unused | header, states, bitmap |
///     large objects:  | object 0 | object 1 | ... | object n-1 |     header etc. in another slab
///
/// Object i lies at `base + i * objectSize` and the block is aligned to its own size, so that objects of a power of two
/// are aligned to theirs.
struct SlabLayout {
    /// Bytes of an object.
    let objectSize: UInt
    /// log2 of the block's size in frames.
    let order: Int
    /// Objects in a slab.
    let objectCount: Int
    /// Where the header lies in the block, in bytes; nil where it lies elsewhere.
    let headerOffset: UInt?
    let indexing: ObjectIndexing

    /// Objects up to this size share their block with the header; larger ones would lose a whole object to it.
    static let largestWithHeader: UInt = 256

    init(objectSize: UInt, order: Int) {
        self.objectSize = objectSize
        self.order = order
        indexing = ObjectIndexing(objectSize: UInt32(objectSize))
        let byteCount = PageSize.byteCount << UInt(order)
        var count = Int(byteCount / objectSize)
        if objectSize <= Self.largestWithHeader {
            while UInt(count) * objectSize + SlabHeader.byteCount(objectCount: count) > byteCount { count -= 1 }
            headerOffset = byteCount - SlabHeader.byteCount(objectCount: count)
        } else {
            headerOffset = nil
        }
        objectCount = count
    }

    /// The slab's frames.
    var frameCount: UInt { 1 << UInt(order) }
}
