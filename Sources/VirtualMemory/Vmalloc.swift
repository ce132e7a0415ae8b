import MemoryPrimitives
import PageFrames
import Paging
import Slab
import Synchronization

/// Memory that is contiguous in virtual addresses only, mapped at its first touch unless the caller wants it at once.
///
/// Each page of an area that is mapped on demand (one entry may stand for many; see `allocateOnDemand`):
///
///     (nothing) --allocate: promise--> demand entry --fault: promise becomes frame--> present
///         ^                                |  free: promise withdrawn                    |
///         '--------------------------------+---------------------- free: frame given back'
///
/// So that the promises made are at all times the demand entries not yet touched, a fault and `free` exclude each other:
/// `free` first marks the area as dying, which a fault checks under one of the fault locks, and then passes through all
/// of these locks before it takes a page away.
///
/// Any context may call, several CPUs at once, and nothing sleeps. Lock order: fault lock, virtual ranges, page tables,
/// slab cache, zone; so nobody may touch memory that is mapped on demand while holding one of these.
@safe
public struct Vmalloc<P: Platform>: ~Copyable, @unchecked Sendable {
    /// Which addresses are in use for what; for reports.
    public let ranges: VirtualRangeAllocator<P>
    let frames: Permanent<PageFrameAllocator<P>>
    let pageTables: Permanent<PageTables<P>>
    let kmalloc: Permanent<Kmalloc<P>>
    /// Where the page tables show all RAM; nil where they do not.
    let directMap: VirtualRange?
    let faultLocks: FaultLocks<P>
    /// What a touch brings.
    public let options: VmallocOptions
    /// Pages of freed areas from which on a purge begins; 0 where each free ends at once. See `retire`.
    public let purgeThreshold: UInt
    let isPurging = Atomic<Bool>(false)
    let resolvedFaults = Atomic<UInt>(0)
    let spuriousFaults = Atomic<UInt>(0)
    /// Pages that stacks have grown by: there without their areas' knowing.
    let grownStackPages = Atomic<UInt>(0)

    /// Takes over a range of addresses.
    /// - Parameters:
    ///   - range: the addresses to hand out, whole pages; nothing may be mapped there yet.
    ///   - frames: where memory behind the addresses comes from.
    ///   - pageTables: where it is mapped.
    ///   - kmalloc: where areas are noted down.
    ///   - directMap: where `pageTables` show all RAM, whose pages somebody may make read-only with those of an area.
    ///   - restingPages: how many pages of one size may wait, after they were freed, for a request for as many.
    ///   - options: what a touch brings.
    ///   - purgeThreshold: how many pages of freed areas may wait for a flush of all CPUs; 0 where each free flushes. Nil for
    ///     the usual number.
    /// - Returns: nil where there is no memory.
    public init?(
        range: VirtualRange, frames: Permanent<PageFrameAllocator<P>>, pageTables: Permanent<PageTables<P>>,
        kmalloc: Permanent<Kmalloc<P>>, directMap: VirtualRange? = nil,
        restingPages: UInt = VirtualRangeAllocator<P>.usualRestingPages, purgeThreshold: UInt? = nil,
        options: VmallocOptions = VmallocOptions()
    ) {
        guard let memory = unsafe kmalloc.value.allocate(FaultLocks<P>.byteCount) else { return nil }
        // Not looked through for references: what was freed lately is noted down here, and would keep new areas from
        // being found lost.
        let size = (VirtualRangeAllocator<P>.byteCount + 63) & ~63
        guard let rangeMemory = unsafe kmalloc.value.allocate(size, flags: .kernel | .noLeakTrace) else {
            // Allocated above and given to nobody.
            unsafe kmalloc.value.free(memory)
            return nil
        }
        guard let cache = try? VirtualRangeAllocator<P>.makeCache(in: kmalloc) else {
            // As above, both.
            unsafe kmalloc.value.free(rangeMemory)
            unsafe kmalloc.value.free(memory)
            return nil
        }
        // Memory of so many bytes, the allocator's for good.
        let ranges = unsafe VirtualRangeAllocator<P>(
            space: range, frames: frames, memory: rangeMemory, restingPages: restingPages)
        ranges.useCache(cache)
        // A power of two from kmalloc is aligned to its size, and this is the locks' for good.
        faultLocks = unsafe FaultLocks<P>(in: memory)
        self.ranges = ranges
        self.frames = frames
        self.pageTables = pageTables
        self.kmalloc = kmalloc
        self.directMap = directMap
        self.options = options
        self.purgeThreshold = purgeThreshold ?? Self.usualPurgeThreshold
    }

    // MARK: Allocating

    /// Allocates `byteCount` bytes, rounded up to whole pages, followed by a guard page.
    ///
    /// The frames are promised here and taken at the first touch of each page, which finds it zeroed. With `populate`,
    /// or where the flags ask for a zone, they are taken and mapped now; then they are zeroed where the flags say so.
    ///
    /// - Parameters:
    ///   - byteCount: the size.
    ///   - flags: `.zero`, `.dma` and `.dma32` are obeyed.
    ///   - populate: whether the pages are mapped now.
    ///   - name: what reports call the area.
    ///   - caller: the return address of whoever asks, for reports; 0 where unknown.
    /// - Returns: the first address, a multiple of 4096; nil, with everything as before, for 0 bytes, and where the
    ///   size overflows or there is no memory, promise or address space for it.
    /// - Complexity: O(pages + log areas).
    public func allocate(
        _ byteCount: UInt, flags: AllocationFlags = .kernel, populate: Bool = false, name: StaticString = "vmalloc",
        caller: UInt = 0
    ) -> VirtualAddress? {
        let outer = P.enterTracedCall()
        let start = makeArea(byteCount, flags, populate: populate, name: name, caller: caller)
        P.leaveTracedCall(outer)
        if P.isTracing {
            traceAllocation(of: byteCount, start, flags, caller, isPopulated: isPopulated(populate, flags))
        }
        return start
    }

    @inline(__always)
    private func makeArea(
        _ byteCount: UInt, _ flags: AllocationFlags, populate: Bool, name: StaticString, caller: UInt
    ) -> VirtualAddress? {
        var request = AreaRequest(.vmalloc, pageCount: pageCount(forBytes: byteCount), name: name, caller: caller)
        request.bringsNeighbours = true
        if isPopulated(populate, flags) {
            return makePopulated(request, flags, isPrepared: false) { _ in }?.node.area.usable.start
        }
        return allocateOnDemand(request, flags: flags)?.usable.start
    }

    /// Whether an area has all of its pages at once: who asks for a zone cannot wait for the first touch.
    @inline(__always)
    private func isPopulated(_ populate: Bool, _ flags: AllocationFlags) -> Bool {
        populate || !flags.isDisjoint(with: .dma | .dma32)
    }

    /// Reserves an area and maps a frame behind each page.
    /// - Parameters:
    ///   - request: what the area is to be like.
    ///   - flags: what the frames are asked for with.
    ///   - isPrepared: whether `prepare` is called at all.
    ///   - prepare: called with each frame before it is mapped.
    /// - Returns: the live area; nil, with everything as before, where something is lacking.
    public func allocatePopulated(
        _ request: AreaRequest, flags: AllocationFlags = .kernel, isPrepared: Bool = true,
        preparing prepare: (PageFrameNumber) -> Void
    ) -> Area? {
        guard let area = makePopulated(request, flags, isPrepared: isPrepared, preparing: prepare) else { return nil }
        return VirtualRangeAllocator<P>.copy(area)
    }

    /// As `allocatePopulated`; the area's note, to be looked at at once.
    @inline(__always)
    private func makePopulated(
        _ request: AreaRequest, _ flags: AllocationFlags, isPrepared: Bool,
        preparing prepare: (PageFrameNumber) -> Void
    ) -> AreaReference? {
        // An impossible size fails before any frame is taken; a batch is never one.
        if request.pageCount > UInt(Self.batchSize), request.pageCount > frames.value.managedFrames {
            reportLack(request, flags)
            return nil
        }
        guard let area = reserve(request, flags) else { return nil }
        let usable = area.node.area.usable
        let isMapped =
            mapFrames(behind: usable, flags: flags, isPrepared: isPrepared, preparing: prepare)
            // Some of the pages may be there.
            || (purgeForMore() && takePagesAway(from: AreaPages(area)) != nil
                && mapFrames(behind: usable, flags: flags, isPrepared: isPrepared, preparing: prepare))
        if !isMapped {
            dropUnpublished(area)
            reportLack(request, flags)
            return nil
        }
        ranges.publish(area, presentPages: usable.byteCount &>> PageSize.shift)
        tell(of: area, flags)
        return area
    }

    /// Reports that there are not so many frames, unless the flags forbid it. (Linux is silent.)
    @inline(never)
    func reportLack(_ request: AreaRequest, _ flags: AllocationFlags) {
        if flags.contains(.noWarn) || request.pageCount == 0 { return }
        let (byteCount, overflow) = request.pageCount.multipliedReportingOverflow(by: PageSize.byteCount)
        P.report(
            FailedAllocation(areaOf: overflow ? UInt.max : byteCount, lack: .areaFrames, flags: flags.rawValue))
    }

    /// Tells the watcher of a new area.
    @inline(__always)
    func tell(of area: AreaReference, _ flags: AllocationFlags) {
        if frames.value.isWatched { tellWatcher(of: area, flags) }
    }

    @inline(never)
    private func tellWatcher(of area: AreaReference, _ flags: AllocationFlags) {
        let usable = area.node.area.usable
        frames.value.noteAllocation(usable.start.rawValue, byteCount: usable.byteCount, .area, flags)
    }

    /// Gives back an area that the caller reserved and could not set up. One whose tables are damaged stays reserved for
    /// good, so that nobody gets its range: that was reported. - Returns: false then.
    @inline(never)
    @discardableResult
    func dropUnpublished(_ area: AreaReference) -> Bool {
        if takePagesAway(from: AreaPages(area)) == nil { return false }
        ranges.abandon(VirtualRangeAllocator<P>.copy(area))
        return true
    }

    /// As above, by what `VirtualRangeAllocator.allocate` returned.
    @discardableResult
    func dropUnpublished(_ area: Area) -> Bool { area.note.map { dropUnpublished($0) } ?? false }

    // MARK: Freeing

    /// Frees what `allocate` returned: no translation is left, the frames are given back and unused promises withdrawn.
    ///
    /// `nil` is a no-op. Anything else that is not the start of an area is an error: freed already (`doubleFree`, for the
    /// areas freed last), within an area (`misalignedFree`), a stack or a device's, or in no area (`wildFree`). It is
    /// reported, and nothing changes.
    /// - Complexity: O(pages + log areas).
    public func free(_ address: VirtualAddress?) {
        guard let address, address.rawValue != 0 else { return }
        free(address, kind: .vmalloc, call: "vfree")
    }

    /// Frees the area of `kind` that starts at `address`; `call` is what reports name.
    func free(_ address: VirtualAddress, kind: AreaKind, call: StaticString) {
        if P.isTracing { return freeTraced(address, kind, call) }
        giveBack(address, kind: kind, call: call)
    }

    @inline(__always)
    func giveBack(_ address: VirtualAddress, kind: AreaKind, call: StaticString) {
        guard let area = ranges.claim(address, kind) else { return refuse(address, kind, call: call) }
        if frames.value.isWatched {
            frames.value.noteFree(address.rawValue, byteCount: area.node.area.usable.byteCount)
        }
        // A fault that saw the area live is over after this; a later one sees it dying. Where all pages are there from the
        // beginning, no fault changes anything.
        if area.node.area.isOnDemand { awaitTouches(of: area) }
        if purgeThreshold != 0 && area.node.area.canRetire { return retire(area, call: call) }
        takeApart(area, call: call)
    }

    @inline(__always)
    private func takeApart(_ area: AreaReference, call: StaticString) {
        // Nobody can touch it any more.
        if area.node.area.isOnDemand { withdrawPromises(of: area) }
        // Tables that are not the area's own are reported; the area stays dying for good, so that nobody gets its range.
        guard let given = takePagesAway(from: AreaPages(area)) else { return }
        if given != area.node.area.presentPages { reportCount(of: area, given, call) }
        ranges.finishFree(area)
    }

    /// By the area's own count: the promises of pages that were ever present are used up.
    func withdrawPromises(of area: AreaReference) {
        let promised = ranges.withdrawPromise(of: area)
        if promised > 0 { frames.value.withdrawPromise(frames: Int(bitPattern: promised)) }
    }

    /// Reports what is wrong with an address that is to be freed as the start of an area of `kind`.
    @inline(never)
    func refuse(_ address: VirtualAddress, _ kind: AreaKind, call: StaticString) {
        let violation: MemoryViolation.Kind
        let detail: StaticString
        var value: UInt = 0
        switch ranges.diagnosis(of: address, kind) {
        case .freedAlready, .begun: (violation, detail) = (.doubleFree, "the area was freed before")
        case .notAStart(let area):
            (violation, detail) = (.misalignedFree, "not the start of the area")
            value = address.rawValue &- area.usable.start.rawValue
        case .otherKind: (violation, detail) = (.wildFree, "the area is of another kind")
        case .unknown where !address.isAligned(to: PageSize.byteCount):
            (violation, detail) = (.wildFree, "bad address: no multiple of a page, in no area")
        case .unknown: (violation, detail) = (.wildFree, "nonexistent vm area: no area starts there")
        }
        P.report(MemoryViolation(violation, in: call, at: address.rawValue, detail, value))
    }

    // MARK: Asking

    /// True when `address` lies in memory that `allocate` handed out. - Complexity: O(log areas).
    public func contains(_ address: VirtualAddress) -> Bool {
        guard let area = ranges.area(containing: address) else { return false }
        return area.state == .live && area.usable.contains(address)
    }

    /// Where `address` lies among the areas. For reports: waits for no lock. - Complexity: O(log areas).
    public func describe(_ address: VirtualAddress) -> AddressDescription { ranges.describe(address) }
}
