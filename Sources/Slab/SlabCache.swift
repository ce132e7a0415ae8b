import MemoryPrimitives
import PageFrames

/// Objects of one size, cut from slabs.
///
///     allocate -> this CPU's magazine --empty--> depot --empty--> the fullest slabs with free objects --none--> the buddy
///     free     -> this CPU's magazine --full---> depot --not needed--> their slabs --all free--> the buddy
///
/// Of slabs wholly free a few are kept, so that a load that goes up and down does not fetch and return a slab each time;
/// the others go back to the buddy at once, and all of them under pressure.
///
/// A cache is placed once and does not move (see `Permanent`); what changes stands behind its lock.
@safe
public struct SlabCache<P: Platform>: ~Copyable, @unchecked Sendable {
    /// What changes, under the lock.
    struct State {
        var lists: SlabLists
        var depot = Depot<P>()
        /// Objects in state `free` in all slabs.
        var freeObjects = 0
        /// Slabs fetched from the buddy and given back, since the cache was made.
        var slabsFetched: UInt = 0
        var slabsReturned: UInt = 0
        /// Guarded objects of the cache that are their users'. They are in no slab.
        var guardedObjects = 0
        /// Attempts to borrow from larger size classes since a magazine was filled with own objects, or a slab was due.
        var borrowedObjects = 0
        /// Where the next objects are taken from, at random; 0 for always the lowest.
        var random: UInt64

        /// Whether there is a slab, a bucket or a guarded object.
        @inline(__always)
        var hasMemory: Bool {
            // No count is negative, and no more slabs are returned than were fetched.
            slabsFetched &+ UInt(bitPattern: depot.bucketCount &+ guardedObjects) != slabsReturned
        }

        /// Counts a new slab, all of whose objects are free.
        @inline(__always)
        mutating func count(_ slab: SlabPage) {
            slabsFetched &+= 1
            freeObjects &+= slab.objectCount
        }

        /// Takes a slab wholly free out of its list and the counts, to be given back.
        @inline(__always)
        mutating func takeOut(_ slab: SlabPage) {
            lists.unlink(slab)
            freeObjects &-= slab.objectCount
            slabsReturned &+= 1
        }

        /// The next number of a sequence without order (Marsaglia's xorshift); 0 for ever after 0.
        @inline(__always)
        mutating func nextRandom() -> UInt64 {
            random ^= random &>> 12
            random ^= random &<< 25
            random ^= random &>> 27
            return random
        }
    }

    /// The name, as `slabinfo` shows it.
    public let name: CacheName
    /// What the cache was made with, and what debugging adds.
    public let flags: CacheFlags
    let layout: SlabLayout
    /// Whether each call comes to the cache itself, because there is something to do at it beyond handing out memory: its
    /// magazines hold nothing. Decided when the cache is made.
    let isWatched: Bool
    /// What the slabs' frames are to be: `.dma`, `.reclaimable`, both or neither.
    let zone: AllocationFlags
    /// The address of CPU 0's magazine.
    let magazines: UInt
    /// The slabs wholly free that are kept.
    let keptEmptySlabs: Int
    let frames: Permanent<PageFrameAllocator<P>>
    let headers: Permanent<HeaderPool<P>>
    /// What watched caches share.
    let debugging: Permanent<SlabDebugging<P>>
    let guarded: GuardedSampling<P>
    /// The address of the cache of the next larger size class; 0 for none. See `borrow`.
    let larger: UInt
    let lock = SpinLock<P>()
    let state: UnsafeMutablePointer<State>
    /// See `registration`.
    private let registrationPointer: UnsafeMutablePointer<CacheRegistration>

    /// Where the cache is.
    let address: UInt

    /// Places a cache without slabs.
    ///
    /// - Parameters:
    ///   - memory: `byteCount` bytes, aligned to a cache line, which stay for as long as the cache is in use.
    ///   - magazines: memory for a magazine for each CPU, aligned to a cache line, which stays as long.
    ///   - flags, layout, isWatched: see `CachePlan`.
    ///   - random: what the order of objects begins with; 0 for ascending order.
    ///   - guarded: decides which allocations go elsewhere, where the cache is watched.
    ///   - larger: the address where the cache of the next larger size class is, or will be; 0 for none.
    @unsafe
    static func place(
        at memory: UnsafeMutableRawPointer, name: CacheName, flags: CacheFlags, layout: SlabLayout,
        magazines: UnsafeMutableRawPointer, isWatched: Bool, random: UInt64,
        frames: Permanent<PageFrameAllocator<P>>, headers: Permanent<HeaderPool<P>>,
        debugging: Permanent<SlabDebugging<P>>, guarded: GuardedSampling<P>, larger: UInt = 0
    ) -> Permanent<SlabCache<P>> {
        // The cache's own memory: the cache, and its state behind it.
        let cache = unsafe Permanent(
            placing: SlabCache(
                name: name, flags: flags, layout: layout, magazines: UInt(bitPattern: magazines),
                isWatched: isWatched, random: random, frames: frames, headers: headers, debugging: debugging,
                guarded: guarded, larger: larger, at: memory),
            at: memory.bindMemory(to: SlabCache<P>.self, capacity: 1))
        let magazineLimit = cache.value.isWatched ? 0 : cache.value.usualMagazineLimit
        for cpu in 0..<P.cpuCount {
            cache.value.magazine(cpu).initialize(
                limit: magazineLimit, plainSize: flags.contains(.redZone) ? 0 : layout.objectSize,
                cache: cache.value.address)
        }
        return cache
    }

    @unsafe
    private init(
        name: CacheName, flags: CacheFlags, layout: SlabLayout, magazines: UInt, isWatched: Bool, random: UInt64,
        frames: Permanent<PageFrameAllocator<P>>, headers: Permanent<HeaderPool<P>>,
        debugging: Permanent<SlabDebugging<P>>, guarded: GuardedSampling<P>, larger: UInt,
        at memory: UnsafeMutableRawPointer
    ) {
        self.name = name
        self.flags = flags
        self.layout = layout
        zone = (flags.contains(.dma) ? .dma : .none) | (flags.contains(.reclaimable) ? .reclaimable : .none)
        self.magazines = magazines
        keptEmptySlabs = max(1, Self.keptEmptyFrames >> layout.order)
        self.isWatched = isWatched || frames.value.isWatched
        self.frames = frames
        self.headers = headers
        self.guarded = guarded
        self.larger = larger
        self.debugging = debugging
        address = UInt(bitPattern: memory)
        // Behind the cache, by the contract of `place`.
        unsafe state = (memory + Self.ownByteCount).bindMemory(to: State.self, capacity: 1)
        let lists = unsafe SlabLists(in: UnsafeMutableRawPointer(state + 1), objectCount: layout.objectCount)
        unsafe state.initialize(to: State(lists: lists, random: random))
        unsafe registrationPointer = (UnsafeMutableRawPointer(state + 1) + SlabLists.byteCount)
            .bindMemory(to: CacheRegistration.self, capacity: 1)
        unsafe registrationPointer.initialize(to: CacheRegistration())
    }

    /// Bytes that a cache takes with its state behind it, a multiple of the cache line.
    static var byteCount: Int { ownByteCount + (stateByteCount + 63) & ~63 }

    private static var stateByteCount: Int {
        MemoryLayout<State>.stride + SlabLists.byteCount + MemoryLayout<CacheRegistration>.size
    }

    private static var ownByteCount: Int { (MemoryLayout<SlabCache<P>>.size + 63) & ~63 }

    /// Bytes of the magazines of all CPUs.
    static var magazinesByteCount: Int { Magazine<P>.byteCount * P.cpuCount }

    /// The objects that a CPU's magazine holds at most: 32 KiB of them, and no more than 61; 16 of large ones.
    var usualMagazineLimit: Int { max(16, min(Magazine<P>.capacity, Int(8 * PageSize.byteCount / layout.slotSize))) }

    /// The objects that stay in a full magazine when room is made. The others fit into a bucket.
    @inline(__always)
    static func objectsLeft(ofLimit limit: Int) -> Int { limit / 4 }

    /// Bytes of an object, as its users have them.
    @inline(__always)
    public var objectSize: UInt { layout.objectSize }

    /// The cache's place in the list of all caches, under that list's lock.
    @inline(__always)
    var registration: CacheRegistration {
        // The cache's own memory.
        unsafeAddress { unsafe UnsafePointer(registrationPointer) }
        nonmutating unsafeMutableAddress { unsafe registrationPointer }
    }

    /// The magazine of a CPU.
    @inline(__always)
    func magazine(_ cpu: Int) -> Magazine<P> { Magazine(at: magazines, cpu: cpu) }

    /// Runs `body` on the state with the lock held.
    @inline(__always)
    func withState<Result: ~Copyable>(_ body: (inout State) -> Result) -> Result {
        // The cache's own memory, under its lock.
        lock.withLock { unsafe body(&state.pointee) }
    }
}
