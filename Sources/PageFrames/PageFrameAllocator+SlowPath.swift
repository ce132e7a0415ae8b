import MemoryPrimitives
import Synchronization

// What happens when this CPU's frame cache cannot serve a call by itself.
extension PageFrameAllocator {
    @inline(never)
    func allocateSlow(order: Int, flags: AllocationFlags) -> PageFrameNumber? {
        guard 0 <= order, order <= BlockOrder.highest else { return nil }
        var flags = flags
        if !mayProceed(flags) {
            reportWaitInAtomicContext(order: order, flags)
            flags = AllocationFlags(rawValue: flags.rawValue & ~AllocationFlags.directReclaim.rawValue)
        }
        if checks.areActive { return allocateChecked(order: order, flags) }
        if order > FrameCacheLayout.highestOrder || !hasFrameCaches.load(ordering: .relaxed),
            let frame = takeUncached(order: order, flags)
        {
            return finish(frame, order: order, flags)
        }
        guard let frame = takeFromZones(order: order, flags) else { return nil }
        return finish(frame, order: order, flags)
    }

    /// Takes a block that is not for the frame caches from the zone that is preferred, above its low mark: what nearly
    /// always works.
    @inline(__always)
    private func takeUncached(order: Int, _ flags: AllocationFlags) -> UInt32? {
        zones[preferredZones[flags.highestZone.rawValue]].value.withUnsettledState { state in
            state.allocateReadily(ZoneRequest(order: order, flags: flags, above: .low))
        }
    }

    /// Takes a block as Linux does: above the low mark at once; then, with the reclaimer asked for help, above what the
    /// flags allow; then, where the flags allow that, after reclaiming memory itself.
    func takeFromZones(order: Int, _ flags: AllocationFlags) -> UInt32? {
        if let frame = takeFromZones(ZoneRequest(order: order, flags: flags, above: .low)) { return frame }
        if flags.contains(.wakeReclaimer) { askForReclaim(flags) }
        let urgent = ZoneRequest(order: order, flags: flags, above: .min)
        if let frame = takeFromZones(urgent) { return frame }
        return takeUnderPressure(urgent)
    }

    /// Takes a block from the highest zone that the flags allow or from those below it.
    func takeFromZones(_ request: ZoneRequest) -> UInt32? {
        var zone = preferredZones[request.highestZone.rawValue]
        while zone >= 0 {
            if let frame = takeFromZone(request, zone) { return frame }
            zone &-= 1
        }
        return nil
    }

    /// Takes a block from a zone: one of the orders that are cached by way of this CPU's ring, which is refilled.
    func takeFromZone(_ request: ZoneRequest, _ zone: Int) -> UInt32? {
        if request.order > FrameCacheLayout.highestOrder {
            return zones[zone].value.withState { state in state.allocate(request) }
        }
        let ring = FrameCacheLayout.ring(zone: zone, request.mobility, order: request.order)
        return withThisCPUsCache { cache in
            if cache.rings[ring].high == 0 { return zones[zone].value.withState { state in state.allocate(request) } }
            if cache.rings[ring].count == 0 {
                let isFilled = zones[zone].value.withState { state in state.refill(&cache.rings[ring], for: request) }
                if !isFilled { return nil }
            }
            return cache.rings[ring].pop()
        }
    }

    /// Frees a block that is too large for the frame caches, or more than a block with one reference and nothing else.
    @inline(never)
    func freeSlow(_ frame: PageFrameNumber, order: Int) {
        guard UInt(bitPattern: order) <= UInt(bitPattern: BlockOrder.highest), makeUnused(frame, order: order) else {
            return freeUnusual(frame, order: order)
        }
        putSlow(UInt32(truncatingIfNeeded: frame.rawValue), order: order)
    }

    @inline(never)
    private func freeUnusual(_ frame: PageFrameNumber, order: Int) {
        if 0 <= order, order <= BlockOrder.highest, dropReference(frame, order: order) { return }
        // A free that is refused is told of, too: the trace ends with what was wrong.
        if checks.active.contains(.tracing) { traceFree(frame, order: order) }
        let violation = zone(of: frame).value.withState { _ in table.diagnoseFree(frame, order: order) }
        P.report(violation)
    }

    /// Gives a block that has become unused back to its zone, or to a ring that is full or beyond whose limit it lies.
    @inline(never)
    func putSlow(_ frame: UInt32, order: Int) {
        if checks.areActive { return putChecked(frame, order: order) }
        let zone = zone(of: PageFrameNumber(UInt(frame)))
        if order <= FrameCacheLayout.highestOrder, hasFrameCaches.load(ordering: .relaxed),
            putIntoRing(frame, order: order, zone)
        {
            return
        }
        zone.value.withUnsettledState { state in state.freeLazily(frame, order: order) }
    }

    /// Pushes a block onto this CPU's ring, which gives its coldest blocks back where it is full.
    /// - Returns: false where the block is not for the ring.
    @inline(__always)
    private func putIntoRing(_ frame: UInt32, order: Int, _ zone: Permanent<Zone<P>>) -> Bool {
        let offset = table.rings(of: UInt(frame)) &+ order &* FrameCacheLayout.ringByteCount
        let interrupts = P.disableInterrupts()
        // This CPU's cache; the lock makes this the only access. There are rings at the offset.
        let cache = unsafe caches.pointer(P.currentCPU)
        unsafe cache.pointee.lock.acquireWithInterruptsDisabled()
        defer { unsafe cache.pointee.lock.release(interrupts) }
        let ring = unsafe cache.ring(at: offset)
        if unsafe frame >= ring.pointee.limit || ring.pointee.high == 0 { return false }
        if unsafe ring.pointee.count >= ring.pointee.high {
            // A batch is at most `high`.
            let number = unsafe Int(ring.pointee.batch)
            unsafe zone.value.withStateInterruptsDisabled { state in
                unsafe state.drain(&ring.pointee, number, order: order)
            }
        }
        unsafe ring.pointee.push(frame)
        return true
    }

    @inline(__always)
    func zone(of frame: PageFrameNumber) -> Permanent<Zone<P>> { zones[ZoneKind(of: frame).rawValue] }

    /// Runs `body` on this CPU's frame cache with its lock held.
    @inline(__always)
    func withThisCPUsCache<Result>(_ body: (inout FrameCache<P>) -> Result) -> Result {
        let interrupts = P.disableInterrupts()
        // This CPU's cache; the lock makes this the only access.
        let cache = unsafe caches.pointer(P.currentCPU)
        unsafe cache.pointee.lock.acquireWithInterruptsDisabled()
        defer { unsafe cache.pointee.lock.release(interrupts) }
        return unsafe body(&cache.pointee)
    }

    @inline(never)
    private func reportWaitInAtomicContext(order: Int, _ flags: AllocationFlags) {
        P.report(
            MemoryViolation(
                .waitInAtomicContext, in: "alloc_pages", at: UInt(flags.rawValue),
                "an interrupt handler or the holder of a spin lock asked so for a block of order", UInt(order)))
    }

    /// A frame that is in use, or unknown, was found among the free ones: something has written where it must not. The
    /// frame is lost, rather than that two owners share it, and the request fails, unless it must not.
    @inline(never)
    func reportInUse(_ frame: PageFrameNumber, order: Int, _ flags: AllocationFlags) -> PageFrameNumber? {
        P.report(
            MemoryViolation(
                .corruption, in: "alloc_pages", at: frame.address.rawValue,
                "a free frame's descriptor says it is in use",
                UInt(state(of: frame).rawValue)))
        guard flags.contains(.noFail) else { return nil }
        // An attempt may meet the next such frame, and is then to end: as many as there are, this calls itself no deeper.
        let attempt = AllocationFlags(rawValue: flags.rawValue & ~AllocationFlags.noFail.rawValue) | .noWarn
        while true {
            let found =
                allocateSlow(order: order, flags: attempt)
                ?? allocateSlow(order: order, flags: attempt | .memoryReserves)
            if found != nil || !flags.mayWait { return found }
            P.relax()
        }
    }
}
