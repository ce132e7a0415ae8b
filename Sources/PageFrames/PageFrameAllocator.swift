import MemoryPrimitives
import Synchronization

/// The owner of all page frames: blocks of 2^order frames from three zones, and promises of single frames.
///
///     allocate -->  this CPU's frame cache  --refill-->  zone: buddy, deferred sections
///     free     -->  (orders 0 to 3)         <--drain---
///
/// It is placed once and never moves (see `Permanent`). All calls may come from any context, interrupt handlers
/// included, and from several CPUs at once, unless they say otherwise. What changes stands behind the locks of the frame
/// caches and the zones, except the descriptors of frames that are handed out, which belong to whoever has the frame.
@safe
public struct PageFrameAllocator<P: Platform>: ~Copyable, @unchecked Sendable {
    /// Reaches every frame.
    public let directMap: DirectMap

    /// The descriptors of all frames.
    public let table: FrameTable

    /// The bytes that the allocator took for itself at bring-up: frame table, zones, caches.
    public let metadataByteCount: UInt

    let zones: InlineArray<3, Permanent<Zone<P>>>
    let caches: PerCPU<FrameCache<P>, P>

    /// For requests that may be served by each zone and those below: the highest of these that has memory, ...
    let preferredZones: InlineArray<3, Int>
    /// ... and where its rings lie in a frame cache.
    let preferredRings: InlineArray<3, Int>

    /// Promises that have been made and neither withdrawn nor called upon. Never above the sum of the zones' promises.
    let outstandingPromises = Atomic<UInt>(0)

    /// Who is asked for memory when it runs short.
    public let shrinkers: ShrinkerList<P>

    /// Who is asked to move its contents out of a contiguous range.
    public let movers: FrameMoverList<P>

    /// The frames that are kept for large contiguous buffers (`PageFrameOptions.contiguousByteCount`); empty where none
    /// were asked for, or there was no such run of them.
    public internal(set) var contiguousArea = PageFrameNumber(0)..<PageFrameNumber(0)

    /// Set when a request finds a zone below its low mark.
    let isReclaimWanted = Atomic<Bool>(false)

    /// Whether the frame caches are on; while they are not, the slow ways pass them by.
    let hasFrameCaches = Atomic<Bool>(false)

    /// What is checked and made to fail beyond what always is. Only the slow ways ask, for nothing else is taken then.
    let checks: CheckState<P>

    /// For each zone, the frames that exist, whoever has them.
    let presentFrames: InlineArray<3, UInt>

    init(
        directMap: DirectMap, table: FrameTable, zones: InlineArray<3, Permanent<Zone<P>>>,
        caches: PerCPU<FrameCache<P>, P>, shrinkers: consuming ShrinkerList<P>,
        movers: consuming FrameMoverList<P>, preferredZones: InlineArray<3, Int>,
        checks: consuming CheckState<P>, presentFrames: InlineArray<3, UInt>, metadataByteCount: UInt
    ) {
        self.directMap = directMap
        self.table = table
        self.zones = zones
        self.caches = caches
        self.shrinkers = shrinkers
        self.movers = movers
        self.checks = checks
        self.presentFrames = presentFrames
        self.preferredZones = preferredZones
        preferredRings = [
            FrameCacheLayout.rings(zone: preferredZones[0], .unmovable),
            FrameCacheLayout.rings(zone: preferredZones[1], .unmovable),
            FrameCacheLayout.rings(zone: preferredZones[2], .unmovable),
        ]
        self.metadataByteCount = metadataByteCount
    }

    /// Allocates 2^`order` frames that follow each other, aligned to their size.
    ///
    /// Tries the highest zone that the flags allow and then those below it. Promised frames are not touched. The
    /// contents are what the last owner left, unless `flags` has `.zero`.
    ///
    /// - Parameters:
    ///   - order: log2 of the number of frames, 0 to 10.
    ///   - flags: where the memory may lie, what it is for, and how far the search may go. With `.directReclaim` the
    ///     call may take long and call shrinkers: such a request from an interrupt handler or with a lock held is
    ///     reported as `waitInAtomicContext`, and then served without waiting.
    /// - Returns: the first frame, in state `allocatedHead` with one reference and with owner and tag 0; nil when the
    ///   request cannot be met within the meaning of its flags, or for an order that does not exist.
    /// - Complexity: O(1) from the frame cache; else O(orders), and where no page block can serve the order, writing
    ///   one section's descriptors.
    @inline(__always)
    public func allocate(order: Int, flags: AllocationFlags = .kernel) -> PageFrameNumber? {
        guard UInt(bitPattern: order) <= UInt(bitPattern: FrameCacheLayout.highestOrder), mayProceed(flags) else {
            return allocateSlow(order: order, flags: flags)
        }
        let ringIndex = Int(flags.mobility.rawValue) &* FrameCacheLayout.orderCount &+ order
        let offset = preferredRings[flags.highestZone.rawValue] &+ ringIndex &* FrameCacheLayout.ringByteCount
        let interrupts = P.disableInterrupts()
        // This CPU's cache; there are rings for every zone, mobility and cached order. What is done with the lock held
        // calls nothing, so that this needs no registers saved.
        let cache = unsafe caches.pointer(P.currentCPU)
        guard _fastPath(unsafe cache.pointee.lock.tryAcquireBriefly()) else {
            P.restoreInterrupts(interrupts)
            return allocateSlow(order: order, flags: flags)
        }
        let ring = unsafe cache.ring(at: offset)
        guard _fastPath(unsafe ring.pointee.count != 0) else {
            unsafe cache.pointee.lock.releaseBriefly()
            P.restoreInterrupts(interrupts)
            return allocateSlow(order: order, flags: flags)
        }
        let frame = unsafe ring.pointee.pop()
        unsafe cache.pointee.lock.releaseBriefly()
        P.restoreInterrupts(interrupts)
        return finish(frame, order: order, flags)
    }

    /// Gives back a block that `allocate` returned: drops one reference, and the last one makes it free.
    ///
    /// It is an error to free what is free (`doubleFree`), never was handed out or belongs to a slab or a page table
    /// (`wildFree`), lies within a larger block (`freeOfTail`), was allocated with another order (`wrongOrder`), or is
    /// not aligned to the order (`misalignedFree`): each is reported, and nothing changes.
    ///
    /// - Complexity: O(1) into the frame cache; else O(orders).
    @inline(__always)
    public func free(_ frame: PageFrameNumber, order: Int) {
        guard UInt(bitPattern: order) <= UInt(bitPattern: FrameCacheLayout.highestOrder),
            makeUnused(frame, order: order)
        else { return freeSlow(frame, order: order) }
        putCached(frame, order: order)
    }

    // MARK: The short way

    /// Pushes a block of a cached order that has just become unused onto this CPU's ring for its page block.
    @inline(__always)
    func putCached(_ frame: PageFrameNumber, order: Int) {
        let number = UInt32(truncatingIfNeeded: frame.rawValue)
        let offset = table.rings(of: frame.rawValue) &+ order &* FrameCacheLayout.ringByteCount
        let interrupts = P.disableInterrupts()
        // As in `allocate`.
        let cache = unsafe caches.pointer(P.currentCPU)
        guard _fastPath(unsafe cache.pointee.lock.tryAcquireBriefly()) else {
            P.restoreInterrupts(interrupts)
            return putSlow(number, order: order)
        }
        let ring = unsafe cache.ring(at: offset)
        guard _fastPath(unsafe ring.pointee.hasRoom(for: number)) else {
            unsafe cache.pointee.lock.releaseBriefly()
            P.restoreInterrupts(interrupts)
            return putSlow(number, order: order)
        }
        unsafe ring.pointee.push(number)
        unsafe cache.pointee.lock.releaseBriefly()
        P.restoreInterrupts(interrupts)
    }

    /// False for a request that may wait where that is not allowed.
    @inline(__always)
    func mayProceed(_ flags: AllocationFlags) -> Bool { !flags.contains(.directReclaim) || P.mayWait }

    /// Marks a block that has been taken out of the caches or the zones as handed out.
    @inline(__always)
    func finish(_ frame: UInt32, order: Int, _ flags: AllocationFlags) -> PageFrameNumber? {
        let number = PageFrameNumber(UInt(frame))
        // The table's own descriptor: the caches and the zones hold only frames that have one. The block is nobody
        // else's, which is checked: a frame in use is neither in the caches nor free.
        let descriptor = unsafe table.managedDescriptor(of: frame)
        guard _fastPath(unsafe descriptor.use.pointee.load(ordering: .relaxed) == FrameDescriptor.unused) else {
            return reportInUse(number, order: order, flags)
        }
        unsafe descriptor.pointee.owner = 0
        unsafe descriptor.use.pointee.store(
            FrameDescriptor.use(flags.contains(.compound) ? .compoundHead : .allocatedHead, order: order),
            ordering: .relaxed)
        return flags.contains(.zero) ? clear(number, order: order) : number
    }

    /// Makes the head of an allocated block of `order` with one reference an unused frame, in one step.
    /// - Returns: false, with nothing changed, for everything else.
    @inline(__always)
    func makeUnused(_ frame: PageFrameNumber, order: Int) -> Bool {
        guard let descriptor = unsafe table.descriptor(of: frame) else { return false }
        // The table's own descriptor, which is never given back.
        return unsafe descriptor.use.pointee.compareExchange(
            expected: FrameDescriptor.use(.allocatedHead, order: order), desired: FrameDescriptor.unused,
            ordering: .acquiringAndReleasing
        ).exchanged
    }

    /// Fills a block that the caller owns with zeroes, and returns it.
    @inline(never)
    func clear(_ frame: PageFrameNumber, order: Int) -> PageFrameNumber {
        // The block is RAM that the caller has just been given, and the direct map covers all RAM.
        unsafe P.clearPages(directMap.pointer(to: frame), count: 1 << order)
        return frame
    }
}
