import MemoryPrimitives

/// All caches there are, in the order in which they were made. Its lock is taken for the list alone.
@safe
struct CacheList<P: Platform>: @unchecked Sendable {
    private struct State: ~Copyable {
        let lock = SpinLock<P>()
        var first: UInt = 0
        var last: UInt = 0
        var count = 0
    }

    private let state: UnsafeMutablePointer<State>

    /// Bytes of memory that `init` needs, aligned to 8.
    static var byteCount: Int { 64 }

    /// An empty list. - Parameter memory: `byteCount` bytes, never given back.
    @unsafe
    init(in memory: UnsafeMutableRawPointer) {
        unsafe state = memory.bindMemory(to: State.self, capacity: 1)
        unsafe state.initialize(to: State())
    }

    /// Where the list's own memory is.
    var memory: VirtualRange {
        let start = unsafe VirtualAddress(UnsafeMutableRawPointer(state))
        return VirtualRange(start, start + UInt(Self.byteCount))
    }

    /// The number of caches. A snapshot.
    var count: Int { withLock { unsafe state.pointee.count } }

    /// Puts a cache at the end. - Complexity: O(1).
    func add(_ cache: Permanent<SlabCache<P>>) {
        let address = cache.value.address
        withLock {
            let last = unsafe state.pointee.last
            cache.value.links = CacheLinks(next: 0, previous: last)
            if last == 0 {
                unsafe state.pointee.first = address
            } else {
                Self.cache(at: last).value.links.next = address
            }
            unsafe state.pointee.last = address
            unsafe state.pointee.count += 1
        }
    }

    /// Takes a cache out. - Complexity: O(1).
    func remove(_ cache: Permanent<SlabCache<P>>) {
        withLock {
            let links = cache.value.links
            if links.previous == 0 {
                unsafe state.pointee.first = links.next
            } else {
                Self.cache(at: links.previous).value.links.next = links.next
            }
            if links.next == 0 {
                unsafe state.pointee.last = links.previous
            } else {
                Self.cache(at: links.next).value.links.previous = links.previous
            }
            unsafe state.pointee.count -= 1
        }
    }

    /// The first cache, and the one after another: for walks by whoever knows that no cache is destroyed meanwhile.
    var first: Permanent<SlabCache<P>>? { withLock { unsafe Self.optional(state.pointee.first) } }
    func next(after cache: Permanent<SlabCache<P>>) -> Permanent<SlabCache<P>>? {
        withLock { Self.optional(cache.value.links.next) }
    }

    /// The cache at an address that a slab or the list has noted down.
    @inline(__always)
    static func cache(at address: UInt) -> Permanent<SlabCache<P>> {
        // Only addresses of caches that are in use are noted down.
        unsafe Permanent(to: UnsafeMutablePointer<SlabCache<P>>(bitPattern: address).unsafelyUnwrapped)
    }

    private static func optional(_ address: UInt) -> Permanent<SlabCache<P>>? {
        address == 0 ? nil : cache(at: address)
    }

    @inline(__always)
    private func withLock<Result>(_ body: () -> Result) -> Result {
        // The list's own memory.
        unsafe state.pointee.lock.withLock(body)
    }
}

/// A cache's neighbours in the list of all caches, by their addresses; 0 for none. Under the list's lock.
struct CacheLinks {
    var next: UInt = 0
    var previous: UInt = 0
}
