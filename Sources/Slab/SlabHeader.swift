import Synchronization

/// What a slab knows about itself. Each frame of the slab names it in its descriptor.
///
/// In memory it is followed by a state byte for each object and, from the next multiple of 8 on, by a bitmap with a set
/// bit for each object in state `free`. Free objects themselves hold nothing of ours.
struct SlabHeader {
    /// The list of the cache that the slab is in.
    enum List: UInt8 {
        /// No object is free.
        case full
        /// Some objects are free.
        case partial
        /// All objects are free.
        case empty
        /// Not in a list: being made or given back.
        case none
    }

    // Under the cache's lock.
    var next: SlabPage?
    var previous: SlabPage?
    /// The virtual address of object 0.
    let base: UInt
    let indexing: ObjectIndexing
    let objectCount: UInt32
    /// Objects in state `free`. Under the cache's lock.
    var freeCount: UInt32
    /// The cache, by its place in `Kmalloc`.
    let cacheIndex: UInt8
    /// Under the cache's lock.
    var list: List

    /// Bytes of a header with its state bytes and its bitmap: a multiple of 8.
    static func byteCount(objectCount: Int) -> UInt {
        UInt(MemoryLayout<SlabHeader>.stride + bitmapOffset(objectCount: objectCount) + wordCount(objectCount) * 8)
    }

    /// Bytes from the first state byte to the bitmap.
    @inline(__always)
    static func bitmapOffset(objectCount: Int) -> Int { (objectCount &+ 7) & ~7 }

    /// The bitmap's 64-bit words: at most 7.
    @inline(__always)
    static func wordCount(_ objectCount: Int) -> Int { (objectCount &+ 63) &>> 6 }
}
