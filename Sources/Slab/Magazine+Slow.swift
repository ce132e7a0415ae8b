import MemoryPrimitives
import PageFrames

// What is left to do when a magazine cannot serve a call. Each is called last, with its arguments in registers, so that
// the short way needs no frame.
extension Magazine {
    /// An object from the cache, by way of this CPU's magazine where that is possible; nil where there is no memory within
    /// the meaning of the flags. A watched cache takes note of the bytes that were asked for; 0 for a whole object.
    @inline(never)
    func allocateSlow(_ flags: AllocationFlags, _ requested: UInt = 0) -> UnsafeMutableRawPointer? {
        if P.isTracing { return unsafe allocateTraced(flags, requested) }
        return unsafe allocateFromCache(flags, requested)
    }

    @inline(__always)
    func allocateFromCache(_ flags: AllocationFlags, _ requested: UInt) -> UnsafeMutableRawPointer? {
        guard let object = cache.value.allocateSlow(flags, requested) else { return nil }
        if flags.contains(.zero), plainSize != 0, !cache.value.isWatched {
            // All of it, as users who know its size may rely on: a borrowed one is larger than this cache's.
            return unsafe Self.clear(object, cache.value.slab(of: object)?.usableSize ?? plainSize)
        }
        return unsafe UnsafeMutableRawPointer(bitPattern: object)
    }

    /// Fills an object, a multiple of 8 bytes, that the caller has just been given with zeroes.
    @inline(never)
    static func clear(_ object: UInt, _ byteCount: UInt) -> UnsafeMutableRawPointer? {
        // An object's address is never null, and it has so many bytes.
        let pointer = unsafe UnsafeMutableRawPointer(bitPattern: object).unsafelyUnwrapped
        unsafe P.clear(pointer, byteCount: byteCount)
        return unsafe pointer
    }

    /// Takes back a free object for which the magazine has no room, or which is held.
    @inline(never)
    func freeSlow(_ entry: Entry) {
        if P.isTracing { return freeTraced(entry, .kfree) }
        cache.value.freeSlow(entry)
    }

    /// The same for an object that was given back to its cache.
    @inline(never)
    func freeToCacheSlow(_ entry: Entry) {
        if P.isTracing { return freeTraced(entry, .cacheFree) }
        cache.value.freeSlow(entry)
    }
}
