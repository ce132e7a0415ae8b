import MemoryPrimitives
import PageFrames
import Synchronization

// Caches that users make: for objects of one kind, which are then apart from all others' and, with a constructor, set up
// once and not at each allocation.
extension Kmalloc {
    /// Makes a cache, or finds one that serves as well: of the same slot size and zone, without a constructor, and made
    /// without flags that want it apart. Each maker destroys it once.
    ///
    /// - Parameters:
    ///   - name: 1 to 31 bytes of printable ASCII without blanks, as `slabinfo` shows it. A cache that was found keeps its
    ///     own.
    ///   - objectSize: bytes, more than 0.
    ///   - alignment: bytes, a power of two; 0 for 8. An object is no larger than 32 KiB with it.
    ///   - flags: with `.panic` a failure is reported as `missingCache`, too.
    ///   - constructor: runs on each object when its slab is made.
    /// - Throws: what is wrong with the request, or `outOfMemory`, with everything as before.
    /// - Complexity: O(caches + CPUs). For contexts that may wait.
    /// - Returns: the cache, which may be shared with others who made one like it.
    public func makeCache(
        _ name: StaticString, objectSize: UInt, alignment: UInt = 0, flags: CacheFlags = .none,
        constructor: ObjectConstructor? = nil
    ) throws(CacheError) -> CacheReference<P> {
        do throws(CacheError) {
            // The constructor is kept, not called.
            let request = try unsafe CacheRequest(
                name, objectSize: objectSize, alignment: alignment, flags: flags, constructor: constructor)
            let plan = plan(for: request)
            // What is looked at, or made to fail, by name is a cache of its own.
            let isShareable = request.isShareable && plan.flags.isDisjoint(with: .debugging | .failslab)
            if isShareable, let cache = caches.join(request) { return CacheReference(cache) }
            return CacheReference(try place(request, plan, isShared: isShareable))
        } catch {
            if flags.contains(.panic) {
                P.report(MemoryViolation(.missingCache, in: "kmem_cache_create", at: 0, error.description, objectSize))
            }
            throw error
        }
    }

    @inline(never)
    private func plan(for request: CacheRequest) -> CachePlan {
        var flags = request.flags
        if unsafe request.constructor != nil { flags.formUnion(.keepsContents) }
        if options.sampleInterval > 0, request.mayBeGuarded { flags.formUnion(.sampled) }
        return CachePlan(
            name: request.name, objectSize: request.slotSize, alignment: request.alignment, flags: flags,
            options: options)
    }

    @inline(never)
    private func place(
        _ request: CacheRequest, _ plan: CachePlan, isShared: Bool
    ) throws(CacheError) -> Permanent<SlabCache<P>> {
        let descriptions = CacheReference(cacheOfCaches)
        guard let description = unsafe descriptions.allocate() else { throw .outOfMemory }
        let magazinesByteCount = UInt(SlabCache<P>.magazinesByteCount)
        // Placed, though there is but one node: the allocator's own memory is not to be a guarded object.
        guard let magazines = unsafe alignedAllocate(magazinesByteCount, alignment: 64, flags: .kernel | .thisNode)
        else {
            unsafe descriptions.free(description)
            throw .outOfMemory
        }
        // Both are the new cache's until `release`.
        let cache = unsafe SlabCache<P>.place(
            at: description, name: request.name, flags: plan.flags, layout: plan.layout, magazines: magazines,
            isWatched: plan.isWatched,
            random: options.randomOrder ? StandardCaches<P>.seed() : 0, frames: frames,
            headers: headers, debugging: cacheOfCaches.value.debugging, guarded: guarded)
        cache.value.registration.requestedSize = request.objectSize
        cache.value.registration.isShared = isShared
        if let constructor = unsafe request.constructor {
            unsafe cache.value.registration.constructor = constructor
            cache.value.leaveObjectsAlone()
        }
        caches.add(cache)
        // Whoever turns magazines off meanwhile says so before looking for caches.
        if passesMagazines.load(ordering: .sequentiallyConsistent) { cache.value.setMagazines(enabled: false) }
        return cache
    }

    /// Ends a cache for one of those who made it; for the last of them, altogether.
    ///
    /// Objects that are still their users' are an error: each is reported as `objectInUse`, and the cache stays. So is a
    /// cache that was destroyed before, or that nobody made: that is reported, and nothing changes.
    ///
    /// - Parameter reference: the cache; nil does nothing.
    /// - Returns: whether the cache is gone, for this maker.
    /// - Complexity: O(CPUs + slabs + objects in magazines and depot). For contexts that may wait, and when nobody uses the cache.
    @discardableResult
    public func destroyCache(_ reference: CacheReference<P>?) -> Bool {
        guard let reference else { return true }
        let descriptions = CacheReference(cacheOfCaches)
        guard let slab = descriptions.ownSlab(of: reference.address), let index = slab.index(of: reference.address)
        else { return refuse(reference, .wildFree, "that is no cache that somebody made") }
        let cache = reference.cache
        while slab.state(index) == .allocated {
            let leaving = caches.leave(cache)
            if leaving == .ended {
                // Nobody comes to it any more, nor to its magazines.
                unsafe free(UnsafeMutableRawPointer(bitPattern: cache.value.magazines))
                if slab.retract(index) { descriptions.takeBack(reference.address, slab, index) }
                return true
            }
            if leaving == .left { break }
            guard leaving == .last else { return true }
            guard cache.value.empty() else {
                caches.keep(cache)
                return false
            }
        }
        return refuse(reference, .doubleFree, "the cache has been destroyed before")
    }

    /// Gives back the memory of a cache that is in the list no longer.
    func release(_ cache: Permanent<SlabCache<P>>) {
        // The cache's own memory; nobody comes to it any more.
        unsafe free(UnsafeMutableRawPointer(bitPattern: cache.value.magazines))
        unsafe CacheReference(cacheOfCaches).free(UnsafeMutableRawPointer(bitPattern: cache.value.address))
    }

    @inline(never)
    private func refuse(
        _ reference: CacheReference<P>, _ kind: MemoryViolation.Kind, _ detail: StaticString
    ) -> Bool {
        P.report(MemoryViolation(kind, in: "kmem_cache_destroy", at: reference.address, detail))
        return false
    }
}
