import MemoryPrimitives
import PageFrames
import Synchronization

/// Which of the watched caches' allocations go to a pool of guarded objects: every N-th of those that can.
///
/// Without a pool, which comes after kmalloc, none does. Any context; no lock is taken here.
@safe
struct GuardedSampling<P: Platform>: @unchecked Sendable {
    private struct State: ~Copyable {
        /// Every how many allocations; 0 until the pool below is there.
        let interval = Atomic<UInt>(0)
        /// Allocations that could have been guarded.
        let calls = Atomic<UInt>(0)
        var pool: GuardedObjectCalls?
    }

    private let state: UnsafeMutablePointer<State>

    /// Bytes of memory that `init` needs, aligned to 8.
    static var byteCount: Int { (MemoryLayout<State>.size + 7) & ~7 }

    /// - Parameter memory: `byteCount` bytes, never given back.
    @unsafe
    init(in memory: UnsafeMutableRawPointer) {
        unsafe state = memory.bindMemory(to: State.self, capacity: 1)
        unsafe state.initialize(to: State())
    }

    /// From now on every `interval`-th allocation goes to `pool`; once, and not for 0.
    func start(_ pool: GuardedObjectCalls, interval: UInt) {
        // Written once, before the interval lets anybody read it.
        guard interval > 0, unsafe state.pointee.pool == nil else { return }
        unsafe state.pointee.pool = pool
        unsafe state.pointee.interval.store(interval, ordering: .releasing)
    }

    /// The pool, if there is one.
    @inline(__always)
    private var pool: GuardedObjectCalls? {
        // As above.
        guard unsafe state.pointee.interval.load(ordering: .acquiring) != 0 else { return nil }
        return unsafe state.pointee.pool
    }

    /// Counts an allocation that could be guarded. - Returns: whether it is to be.
    @inline(__always)
    func isDue() -> Bool {
        // The state's own memory.
        let interval = unsafe state.pointee.interval.load(ordering: .acquiring)
        if interval == 0 { return false }
        return unsafe state.pointee.calls.add(1, ordering: .relaxed).newValue % interval == 0
    }

    /// An object from the pool; nil where there is no pool, or it has none left.
    func allocate(_ request: GuardedRequest) -> UInt? {
        guard let pool else { return nil }
        // The pool's own address.
        return unsafe pool.allocate(pool.pool, request)
    }

    /// Takes back an object of the pool, or reports what is wrong.
    /// - Parameter cache: the one that the object must be of; nil for any.
    /// - Returns: false, with nothing done, for any other address.
    func free(_ address: UInt, from cache: Permanent<SlabCache<P>>?, in call: StaticString) -> Bool {
        guard let pool, pool.range.contains(VirtualAddress(address)) else { return false }
        // As above.
        let owner = unsafe pool.free(pool.pool, address, cache?.value.address ?? 0, call)
        // It cannot have ended: it still counts the object.
        if owner != 0 { CacheList<P>.cache(at: owner).value.countGuarded(-1) }
        return true
    }

    /// The first allocated object of a cache above an address; nil where there is none. - Complexity: O(slots).
    func nextObject(of cache: UInt, after address: UInt) -> UInt? {
        guard let pool else { return nil }
        // As above.
        return unsafe pool.nextObject(pool.pool, cache, address)
    }

    /// True for addresses of the pool.
    func contains(_ address: UInt) -> Bool { pool?.range.contains(VirtualAddress(address)) ?? false }

    /// The physical address of a part of an allocated object of the pool; nil for anything else.
    func memory(at address: UInt, byteCount: UInt) -> PhysicalAddress? {
        guard let pool, pool.range.contains(VirtualAddress(address)) else { return nil }
        // As above.
        return unsafe pool.memory(pool.pool, address, byteCount)
    }

    /// The bytes of an allocated object of the pool; nil, after a report, for another address of the pool.
    func size(of address: UInt, in call: StaticString) -> UInt? {
        guard let pool else { return nil }
        // As above.
        return unsafe pool.byteCount(pool.pool, address, call)
    }
}

extension SlabCache {
    /// A guarded object in place of one from a slab, if it is time for one and it would do: of a page at most, where the
    /// caller has not said where the memory must lie. It is cleared where the flags say so.
    /// - Parameter requested: the bytes that were asked for, behind which nothing may be touched; 0 for a whole object.
    @inline(__always)
    func allocateGuarded(_ flags: AllocationFlags, _ requested: UInt) -> UInt? {
        let placement: AllocationFlags = .dma | .dma32 | .highMemory | .movable | .thisNode
        guard flags.isDisjoint(with: placement), self.flags.contains(.sampled),
            layout.objectSize <= PageSize.byteCount, guarded.isDue()
        else { return nil }
        let alignment = (layout.slotSize | layout.objectOffset | PageSize.byteCount)
        // Who shares a cache asks for no more than is noted down; a size class has all of its slot.
        let wanted = requested == 0 ? registration.requestedSize : requested
        var request = GuardedRequest(
            byteCount: wanted == 0 ? layout.objectSize : min(wanted, layout.objectSize),
            alignment: alignment & (0 &- alignment), cacheName: name, cache: address)
        request.clears = flags.contains(.zero) || debugging.value.options.zeroOnAllocation
        request.clearsWhenFreed = debugging.value.options.zeroOnFree
        // Here, so that few of a trace's addresses are the allocator's own.
        P.captureTrace(into: &request.trace)
        guard let object = guarded.allocate(request) else { return nil }
        countGuarded(1)
        return object
    }

    /// Counts guarded objects of the cache, which does not end as long as there are some.
    func countGuarded(_ change: Int) { withState { state in state.guardedObjects &+= change } }

    /// Reports each guarded object that is its user's, as the cache is to end.
    /// - Returns: how many there are. - Complexity: O(slots of the pool), for each object at most.
    func reportGuarded() -> Int {
        guard flags.contains(.sampled) else { return 0 }
        var count = 0
        var last: UInt = 0
        while let object = guarded.nextObject(of: address, after: last) {
            debugging.value.report(
                MemoryViolation(
                    .objectInUse, in: "kmem_cache_destroy", at: object, "a guarded object of this size remains",
                    objectSize))
            debugging.value.countRepair()
            count += 1
            last = object
        }
        return count
    }

    /// Compares the count of guarded objects with the pool.
    func checkGuarded() throws(InvariantViolation) {
        let counted = withState { state in state.guardedObjects }
        var found = 0
        var last: UInt = 0
        while let object = guarded.nextObject(of: address, after: last) {
            found += 1
            last = object
        }
        try require(found == counted, "a cache counts its guarded objects", address, found, counted)
    }
}

extension Kmalloc {
    /// Sends every `interval`-th allocation of the watched caches to a pool of guarded objects.
    ///
    /// Once, and before others use the pool. With `SlabOptions.sampleInterval` the caches that are there from the start
    /// are watched, and those that are made later, if their objects may be guarded.
    public func startSampling(to pool: GuardedObjectCalls, every interval: UInt) {
        guarded.start(pool, interval: interval)
    }

    /// Where the memory of a guarded object is, or of a part of it, which the direct map does not show at `address`.
    ///
    /// - Parameters:
    ///   - address: the first byte.
    ///   - byteCount: 1 at least.
    /// - Returns: the first byte's physical address, the others follow it; nil for what is not all of one such object that
    ///   is allocated.
    /// - Complexity: O(1). Any context.
    @inline(never)
    public func guardedMemory(at address: VirtualAddress, byteCount: UInt) -> PhysicalAddress? {
        guarded.memory(at: address.rawValue, byteCount: byteCount)
    }
}
