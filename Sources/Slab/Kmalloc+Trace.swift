import MemoryPrimitives
import PageFrames

// What is told of calls while something is traced. An allocation is told of when it has been made, a free before the memory
// can be had again; what the caches ask of the page frames in between is nested.
extension Magazine {
    /// As `allocateFromCache`.
    @inline(never)
    func allocateTraced(_ flags: AllocationFlags, _ requested: UInt) -> UnsafeMutableRawPointer? {
        let outer = P.enterTracedCall()
        let object = unsafe allocateFromCache(flags, requested)
        P.leaveTracedCall(outer)
        if let object = unsafe object { unsafe traceAllocation(of: object, flags, requested) }
        return unsafe object
    }

    /// Tells of an object that a cache has given. A request of 0 bytes was one for a whole object of a cache.
    @inline(never)
    private func traceAllocation(of object: UnsafeMutableRawPointer, _ flags: AllocationFlags, _ requested: UInt) {
        let cache = cache
        let isKmalloc = requested != 0
        P.trace(
            TraceEvent(
                isKmalloc ? .kmalloc : .cacheAllocation, UInt(bitPattern: object),
                requested: isKmalloc ? requested : cache.value.registration.requestedSize,
                allocated: cache.value.layout.slotSize, flags: flags.rawValue))
    }

    /// As `SlabCache.freeSlow`.
    @inline(never)
    func freeTraced(_ entry: Entry, _ kind: TraceKind) {
        let cache = cache
        cache.value.traceFree(of: entry.object, kind)
        let outer = P.enterTracedCall()
        cache.value.freeSlow(entry)
        P.leaveTracedCall(outer)
    }
}

extension SlabCache {
    @inline(never)
    func traceFree(of object: UInt, _ kind: TraceKind) {
        var event = TraceEvent(kind, object)
        if kind == .cacheFree { event.name = TraceName(name) }
        P.trace(event)
    }
}

extension Kmalloc {
    /// A block of more than `SizeClass.largestByteCount` bytes.
    @inline(__always)
    func allocateLarge(_ byteCount: UInt, _ flags: AllocationFlags) -> PageFrameNumber? {
        if P.isTracing { return allocateLargeTraced(byteCount, flags) }
        return largeBlocks.allocate(byteCount, flags, from: frames)
    }

    @inline(never)
    private func allocateLargeTraced(_ byteCount: UInt, _ flags: AllocationFlags) -> PageFrameNumber? {
        let outer = P.enterTracedCall()
        let frame = largeBlocks.allocate(byteCount, flags, from: frames)
        P.leaveTracedCall(outer)
        if let frame { traceLarge(frame, byteCount, flags) }
        return frame
    }

    @inline(never)
    private func traceLarge(_ frame: PageFrameNumber, _ byteCount: UInt, _ flags: AllocationFlags) {
        P.trace(
            TraceEvent(
                .kmalloc, directMap.virtualAddress(of: frame.address).rawValue, requested: byteCount,
                allocated: PageSize.byteCount << UInt(LargeBlocks<P>.order(forByteCount: byteCount)),
                flags: flags.rawValue))
    }

    /// Tells of the free of what is in no slab; of one that is refused, too: the trace ends with what was wrong.
    @inline(never)
    func traceUncommonFree(_ address: UInt) { P.trace(TraceEvent(.kfree, address)) }
}

extension TraceName {
    init(_ name: CacheName) {
        self.init()
        for index in 0..<name.byteCount { set(index, name[index]) }
    }
}
