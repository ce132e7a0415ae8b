import MemoryPrimitives

/// All caches there are, in the order in which they were made. Its lock is taken for the list alone.
@safe
struct CacheList<P: Platform>: @unchecked Sendable {
    private struct State: ~Copyable {
        var first: UInt = 0
        var last: UInt = 0
        var count = 0
        // Not first: ThreadSanitizer takes the whole's address for that of its first part.
        let lock = SpinLock<P>()
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

    /// Puts a cache, which one user holds, at the end. - Complexity: O(1).
    func add(_ cache: Permanent<SlabCache<P>>) {
        let address = cache.value.address
        withLock {
            let last = unsafe state.pointee.last
            cache.value.registration.next = 0
            cache.value.registration.previous = last
            if last == 0 {
                unsafe state.pointee.first = address
            } else {
                Self.cache(at: last).value.registration.next = address
            }
            unsafe state.pointee.last = address
            unsafe state.pointee.count += 1
        }
    }

    /// Lets one more user hold a cache that serves a request as well as one of its own would.
    /// - Returns: nil where there is none. - Complexity: O(caches).
    func join(_ request: CacheRequest) -> Permanent<SlabCache<P>>? {
        withLock {
            var address = unsafe state.pointee.first
            while address != 0 {
                let cache = Self.cache(at: address)
                let registration = cache.value.registration
                if registration.isShared, !registration.isEnding, registration.users > 0,
                    request.isServed(by: cache.value)
                {
                    cache.value.registration.users = registration.users + 1
                    cache.value.registration.requestedSize = max(registration.requestedSize, request.objectSize)
                    return cache
                }
                address = registration.next
            }
            return nil
        }
    }

    /// What came of a user's leaving a cache.
    enum Leaving {
        /// Others hold the cache.
        case held
        /// Nobody does, and its memory is to be given back.
        case ended
        /// Nobody does; who walks the list and is at the cache gives its memory back.
        case ending
        /// This user is the last, and the cache has memory: it is not given to others while that is given back.
        case last
        /// Nothing was done: the last user has left already.
        case left
    }

    /// Takes a user off a cache; the last only where the cache has no memory. - Complexity: O(1).
    @inline(__always)
    func leave(_ cache: Permanent<SlabCache<P>>) -> Leaving {
        withLock {
            let users = cache.value.registration.users
            if users == 0 { return .left }
            if users == 1, cache.value.hasMemoryWithInterruptsDisabled {
                cache.value.registration.isEnding = true
                return .last
            }
            cache.value.registration.users = users &- 1
            if users > 1 { return .held }
            if cache.value.registration.walkers > 0 { return .ending }
            unlink(cache)
            return .ended
        }
    }

    /// The last user stays after all.
    func keep(_ cache: Permanent<SlabCache<P>>) { withLock { cache.value.registration.isEnding = false } }

    /// Begins a walk, or takes it on to the next cache, which stays in memory until the walk has left it.
    ///
    /// - Parameters:
    ///   - cache: where the walk is; nil to begin it.
    ///   - isBackward: whether the walk goes from the cache that was made last to the first.
    /// - Returns: where it is next, nil at the end; and whether the cache that it leaves has ended, so that its memory is
    ///   to be given back.
    /// - Complexity: O(1), and O(caches) where many end at once.
    func step(
        from cache: Permanent<SlabCache<P>>?, isBackward: Bool = false
    ) -> (next: Permanent<SlabCache<P>>?, hasEnded: Bool) {
        withLock {
            var address = unsafe isBackward ? state.pointee.last : state.pointee.first
            if let cache { address = Self.neighbour(of: cache, isBackward) }
            // Those that end meanwhile have nothing to look at.
            while address != 0, Self.cache(at: address).value.registration.users == 0 {
                address = Self.neighbour(of: Self.cache(at: address), isBackward)
            }
            let next = Self.optional(address)
            if let next { next.value.registration.walkers += 1 }
            guard let cache else { return (next, false) }
            return (next, unpin(cache))
        }
    }

    /// The address of the cache that was made next, or the one before; 0 where there is none.
    private static func neighbour(of cache: Permanent<SlabCache<P>>, _ isBackward: Bool) -> UInt {
        isBackward ? cache.value.registration.previous : cache.value.registration.next
    }

    /// Ends a walk before its end. - Returns: whether the cache that it leaves has ended, as above.
    func leaveWalk(at cache: Permanent<SlabCache<P>>) -> Bool { withLock { unpin(cache) } }

    private func unpin(_ cache: Permanent<SlabCache<P>>) -> Bool {
        let walkers = cache.value.registration.walkers - 1
        cache.value.registration.walkers = walkers
        guard walkers == 0, cache.value.registration.users == 0 else { return false }
        unlink(cache)
        return true
    }

    @inline(__always)
    private func unlink(_ cache: Permanent<SlabCache<P>>) {
        let next = cache.value.registration.next
        let previous = cache.value.registration.previous
        // The list's own memory, under its lock, which the caller holds.
        if previous == 0 {
            unsafe state.pointee.first = next
        } else {
            Self.cache(at: previous).value.registration.next = next
        }
        if next == 0 {
            unsafe state.pointee.last = previous
        } else {
            Self.cache(at: next).value.registration.previous = previous
        }
        unsafe state.pointee.count -= 1
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
