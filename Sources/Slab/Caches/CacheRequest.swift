import MemoryPrimitives

/// What a cache is to be like: what its maker asks for, checked.
@safe
struct CacheRequest {
    let name: CacheName
    /// Bytes of an object, as asked for.
    let objectSize: UInt
    /// A power of two, at least 8.
    let alignment: UInt
    let flags: CacheFlags
    let constructor: ObjectConstructor?

    /// - Parameter alignment: bytes, a power of two; 0 for what any object has.
    init(
        _ name: StaticString, objectSize: UInt, alignment: UInt, flags: CacheFlags, constructor: ObjectConstructor?
    ) throws(CacheError) {
        self.name = try Self.checked(name)
        if objectSize == 0 { throw .noSize }
        if alignment & (alignment &- 1) != 0 { throw .alignmentNotPowerOfTwo }
        // Neither can make the sum below overflow.
        let largest = SlabLayout.largestSlotSize
        if objectSize > largest || alignment > largest { throw .sizeTooLarge }
        self.objectSize = objectSize
        self.alignment = Self.alignment(alignment, objectSize, flags)
        self.flags = flags
        // Kept, not called.
        unsafe self.constructor = constructor
        if slotSize > largest { throw .sizeTooLarge }
    }

    private static func checked(_ name: StaticString) throws(CacheError) -> CacheName {
        guard name.hasPointerRepresentation else { throw .unprintableName }
        if name.utf8CodeUnitCount == 0 { throw .emptyName }
        if name.utf8CodeUnitCount > CacheName.largestByteCount { throw .nameTooLong }
        // Its bytes live as long as the image.
        for index in 0..<name.utf8CodeUnitCount where unsafe !(0x21...0x7e).contains(name.utf8Start[index]) {
            throw .unprintableName
        }
        return CacheName(name)
    }

    /// As Linux's `calculate_alignment`: a cache line or, where several objects fit into one, half of it and so on.
    private static func alignment(_ asked: UInt, _ objectSize: UInt, _ flags: CacheFlags) -> UInt {
        var alignment = max(asked, 8)
        if flags.contains(.hardwareCacheAlign) {
            var line: UInt = 64
            while objectSize <= line / 2, line > 8 { line /= 2 }
            alignment = max(alignment, line)
        }
        return alignment
    }

    /// Bytes from one object to the next.
    var slotSize: UInt { (objectSize &+ alignment &- 1) & ~(alignment &- 1) }

    /// Objects have all of their slot, so that those of all who share the cache are cleared as a whole.
    var layout: SlabLayout { SlabLayout(objectSize: slotSize, slotSize: slotSize) }

    /// Whether others that ask for the like may be given the cache: not where its objects are in a state that they do not
    /// know of, nor where somebody looks at the calls of this cache alone.
    var isShareable: Bool {
        let lonely = CacheFlags.debugging | .noMerge | .typesafe | .noLeakTrace
        return unsafe constructor == nil && flags.isDisjoint(with: lonely)
    }

    /// Whether objects may lie in pages of their own, outside the direct map: not where a constructor or an earlier user has
    /// set them up, where the memory keeps its type or has its place, nor above a page.
    var mayBeGuarded: Bool {
        unsafe constructor == nil && flags.isDisjoint(with: .typesafe | .dma) && slotSize <= PageSize.byteCount
    }

    /// Whether a cache that is shared would do. Such a cache is sampled if one of the request's own would be.
    func isServed(by cache: borrowing SlabCache<some Platform>) -> Bool {
        let same = CacheFlags.reclaimable | .dma
        return cache.layout.slotSize == slotSize && (cache.flags.rawValue ^ flags.rawValue) & same.rawValue == 0
    }
}
