import MemoryPrimitives
import PageFrames

/// A cache that somebody made: objects of one size, in memory of their own. What `kmem_cache_create` returns.
///
/// `Kmalloc.makeCache` makes it and `Kmalloc.destroyCache` ends it; to use it after that is an error that is not sure to be
/// caught. All calls may come from any context, interrupt handlers included, and from several CPUs at once; what one CPU
/// allocated any other may free. An allocation with `.directReclaim` may wait where there is no free object.
@safe
public struct CacheReference<P: Platform>: Equatable, Sendable {
    /// Where the cache is.
    let address: UInt

    init(_ cache: Permanent<SlabCache<P>>) { address = cache.value.address }

    /// The cache at an address that `identifier` was.
    @unsafe
    @inline(__always)
    public init(identifier: UInt) { address = identifier }

    /// A number that no other cache has as long as this one is there.
    @inline(__always)
    public var identifier: UInt { address }

    @inline(__always)
    var cache: Permanent<SlabCache<P>> { CacheList.cache(at: address) }

    /// Allocates an object.
    ///
    /// - Parameter flags: `.zero` clears the object, but in a cache with a constructor, whose objects stay as that or their
    ///   last user left them. The zone is the cache's, and flags for another have no effect.
    /// - Returns: an object that is the caller's until `free`; nil where there is no memory.
    /// - Complexity: O(1) from the magazine; else a batch from the slabs, or a new slab.
    @inline(__always)
    public func allocate(flags: AllocationFlags = .kernel) -> UnsafeMutableRawPointer? {
        let magazine = cache.value.magazine(P.currentCPU)
        guard let object = magazine.allocate() else { return unsafe magazine.allocateSlow(flags) }
        if flags.contains(.zero) { return unsafe Magazine<P>.clear(object, magazine.plainSize) }
        // An object's address is in the direct map, never null.
        return unsafe UnsafeMutableRawPointer(bitPattern: object).unsafelyUnwrapped
    }

    /// Gives an object back.
    ///
    /// It is an error to free an object of another cache (`wrongCache`), one that is free already (`doubleFree`), an
    /// address within one (`misalignedFree`), or what is no object (`wildFree`): each is reported, and nothing changes.
    ///
    /// - Parameter object: what `allocate` returned; nil does nothing.
    /// - Complexity: O(1) into the magazine; a batch into the slabs where that is full.
    @inline(__always)
    public func free(_ object: UnsafeMutableRawPointer?) {
        let address = UInt(bitPattern: object)
        // The address is followed to its slab: what it is the address of is checked on the way.
        guard let slab = ownSlab(of: address), let index = slab.index(of: address), slab.retract(index) else {
            return refuse(address)
        }
        takeBack(address, slab, index)
    }

    /// Takes an object back that is in no user's hands.
    @inline(__always)
    func takeBack(_ object: UInt, _ slab: SlabPage, _ index: Int) {
        // The object's own state byte.
        let entry = unsafe Magazine<P>.Entry(object: object, state: slab.statePointer(index))
        let magazine = Magazine<P>(at: slab.magazines, cpu: P.currentCPU)
        if !magazine.free(entry) { magazine.freeToCacheSlow(entry) }
    }

    /// The slab of this cache that an address lies in; nil where it lies in none.
    @inline(__always)
    func ownSlab(of object: UInt) -> SlabPage? {
        let frames = cache.value.frames
        let physical = frames.value.directMap.physicalAddress(of: VirtualAddress(object))
        guard let owner = frames.value.table.slabOwner(of: PageFrameNumber(containing: physical)) else { return nil }
        let slab = SlabPage(name: owner)
        return slab.magazines == cache.value.magazines ? slab : nil
    }

    /// Takes back a guarded object, or reports what is no allocated object of this cache, unless it is nil.
    @inline(never)
    func refuse(_ object: UInt) {
        if object == 0 { return }
        if P.isTracing { cache.value.traceFree(of: object, .cacheFree) }
        let outer = P.enterTracedCall()
        defer { P.leaveTracedCall(outer) }
        if cache.value.guarded.free(object, from: cache, in: "kmem_cache_free") { return }
        cache.value.debugging.value.report(cache.value.diagnose(object, in: "kmem_cache_free"))
    }

    /// Empties the magazines, but for those in use at the moment, and gives slabs that are wholly free back.
    /// - Returns: the frames given back. - Complexity: O(objects in magazines and depots + slabs given back).
    @discardableResult
    public func shrink() -> UInt { cache.value.shrink() }

    /// Bytes of an object: the most that one of those who share the cache has asked for.
    public var objectSize: UInt { cache.value.registration.requestedSize }

    /// The cache's name, as `slabinfo` shows it.
    public var name: CacheName { cache.value.name }
    /// What the cache was made with.
    public var flags: CacheFlags { cache.value.flags }
    /// The cache's figures. While others allocate, they may be off by a magazine. - Complexity: O(CPUs).
    public var statistics: SlabCacheStatistics { cache.value.statistics }
}
