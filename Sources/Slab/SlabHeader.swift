/// What a slab knows about itself. Each frame of the slab names it in its descriptor.
///
/// It never lies in the slab: whoever writes beyond an object, or into a free one, does not reach it. In memory it is
/// followed by a state byte for each object and, from the next multiple of 8 on, by a bitmap with a set bit for each
/// object in state `free`.
struct SlabHeader {
    /// What added to an address gives its offset from object 0: the negative of that object's virtual address.
    let negatedBase: UInt
    let objectCount: UInt32
    /// 0: the upper half of the count where an index, which is a whole word, is compared with it.
    let objectCountHigh: UInt32
    /// Bytes of an object that its user may use without having asked for them; 0 where objects have red zones.
    let usableSize: UInt
    /// The magazine of the cache on CPU 0, which leads to the cache; those of the other CPUs follow it.
    let magazines: UInt

    // Under the cache's lock.
    var next: SlabPage?
    var previous: SlabPage?

    /// What turns an offset into an index: see `ObjectIndexing`, whose shift stands below.
    let inverse: UInt32
    /// Objects in state `free`. Under the cache's lock.
    var freeCount: UInt16
    /// The list of the cache that the slab is in: see `SlabLists`. Under the cache's lock.
    var list: UInt8

    let shift: UInt8

    /// Bytes of a header with its state bytes and its bitmap: a multiple of 8.
    static func byteCount(objectCount: Int) -> Int {
        MemoryLayout<SlabHeader>.stride + bitmapOffset(objectCount: objectCount) + wordCount(objectCount) * 8
    }

    /// Bytes from the first state byte to the bitmap.
    @inline(__always)
    static func bitmapOffset(objectCount: Int) -> Int { (objectCount &+ 7) & ~7 }

    /// The bitmap's 64-bit words: at most 8.
    @inline(__always)
    static func wordCount(_ objectCount: Int) -> Int { (objectCount &+ 63) &>> 6 }
}
