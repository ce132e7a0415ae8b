import MemoryPrimitives
import PageFrames
import Slab

/// Room for areas to be noted down in before there are slab caches: in the allocator's own memory.
@safe
struct FirstAreaNotes {
    private let start: UnsafeMutableRawPointer
    private let byteCount: Int
    /// How many have been cut off, from the front on.
    private var cutCount = 0
    /// The last that was given back; each leads to the one before.
    private var free: UnsafeMutableRawPointer?

    static var stride: Int { (MemoryLayout<AreaNode>.size + 15) & ~15 }

    /// - Parameter memory: aligned to 16 and used for nothing else.
    @unsafe
    init(in memory: UnsafeMutableRawBufferPointer) {
        // Callers have such memory.
        unsafe start = memory.baseAddress.unsafelyUnwrapped
        byteCount = memory.count
    }

    /// Room for an area; nil where there is no more. - Complexity: O(1), with the lock held.
    mutating func take() -> UnsafeMutableRawPointer? {
        if let room = unsafe free {
            // Written by `put`.
            unsafe free = room.load(as: UnsafeMutableRawPointer?.self)
            return unsafe room
        }
        if (cutCount + 1) * Self.stride > byteCount { return nil }
        defer { cutCount += 1 }
        return unsafe start + cutCount * Self.stride
    }

    /// Takes room back. - Complexity: O(1), with the lock held.
    mutating func put(_ room: UnsafeMutableRawPointer) {
        // The room is nobody's now.
        unsafe room.storeBytes(of: free, as: UnsafeMutableRawPointer?.self)
        unsafe free = room
    }

    /// True for room that `take` gave out.
    @inline(__always)
    func contains(_ room: UnsafeMutableRawPointer) -> Bool {
        unsafe UInt(bitPattern: room) &- UInt(bitPattern: start) < UInt(bitPattern: byteCount)
    }
}

extension VirtualRangeAllocator {
    /// A cache for the notes of areas, which `useCache` is given. Leak detection neither watches nor reads it: what was
    /// freed lately is noted down here, and would keep new areas from being found lost.
    /// - Throws: `outOfMemory`. - Complexity: as `Kmalloc.makeCache`. For contexts that may wait.
    public static func makeCache(in kmalloc: Permanent<Kmalloc<P>>) throws(CacheError) -> CacheReference<P> {
        // There is no constructor.
        try unsafe kmalloc.value.makeCache(
            "vm_area", objectSize: UInt(MemoryLayout<AreaNode>.size), flags: .hardwareCacheAlign | .noLeakTrace)
    }

    /// Notes areas down in `cache` from now on, without limit. For one CPU, before others use the allocator.
    public func useCache(_ cache: CacheReference<P>) { unlockedState.cache = cache }

    /// Room for an area that is to be noted down. The lock is not held, so that nobody waits while the cache looks for
    /// memory.
    @inline(__always)
    func takeNote(_ flags: AllocationFlags) -> UnsafeMutableRawPointer? {
        if let cache = unlockedState.cache { return unsafe cache.allocate(flags: flags | .noLeakTrace) }
        return unsafe lock.withLock { unsafe unlockedState.first.take() }
    }

    /// Gives room back in which nothing is noted any more. The lock is not held.
    @inline(__always)
    func giveBack(note room: UnsafeMutableRawPointer) {
        if let cache = unlockedState.cache, unsafe !unlockedState.first.contains(room) {
            // Taken from there; nobody reaches it any more, except a fatal report, which checks what it reads.
            unsafe cache.free(room)
        } else {
            lock.withLock { unsafe unlockedState.first.put(room) }
        }
    }
}
