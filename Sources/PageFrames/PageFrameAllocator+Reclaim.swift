import MemoryPrimitives
import Synchronization

// What happens when memory runs short.
//
//     free above low            requests are served
//     below low                 the background reclaimer is asked to bring every zone above high: `reclaimIfAsked()`
//     below min                 requests that may wait ask the shrinkers themselves, and try again
//     nothing to be had         the request fails, or with `.noFail` goes on trying
extension PageFrameAllocator {
    /// Asks registered shrinkers for memory until every zone is above its high mark, if a request has found a zone below
    /// its low mark since the last time. The work of Linux's kswapd: for an idle loop or a thread of its own. A request
    /// that may wait does it, too.
    ///
    /// - Returns: the frames that shrinkers gave back.
    /// - Complexity: what the shrinkers do. For contexts that may wait, with no lock held.
    @discardableResult
    public func reclaimIfAsked(flags: AllocationFlags = .kernel) -> UInt {
        guard isReclaimWanted.exchange(false, ordering: .acquiringAndReleasing) else { return 0 }
        var returned: UInt = 0
        for zone in 0..<ZoneKind.count {
            let missing = zones[zone].value.withState { state in state.framesBelowHigh }
            if missing > 0 { returned += shrinkers.shrink(target: missing, flags: flags) }
        }
        return returned
    }

    /// Whether a request has found a zone below its low mark and nothing has been done about it yet.
    public var wantsReclaim: Bool { isReclaimWanted.load(ordering: .relaxed) }

    func askForReclaim(_ flags: AllocationFlags) {
        isReclaimWanted.store(true, ordering: .releasing)
        if flags.mayWait { reclaimIfAsked(flags: flags) }
    }

    /// Goes to the limits of what the flags allow.
    @inline(never)
    func takeUnderPressure(_ request: ZoneRequest) -> UInt32? {
        // What other CPUs' caches hold may be all that there is, or what is missing in a larger block.
        drainFrameCaches()
        if let frame = takeFromZones(request) { return frame }
        // Who may use all reserves frees memory, and is not to look for more, unless it cannot do without.
        let flags = request.flags
        if flags.mayWait, !flags.ignoresWatermarks || flags.contains(.noFail), let frame = reclaim(for: request) {
            return frame
        }
        reportFailure(request)
        return nil
    }

    /// Asks the shrinkers, and tries again as often as the flags say.
    private func reclaim(for request: ZoneRequest) -> UInt32? {
        let flags = request.flags
        // Linux's bounds: large blocks are not worth many attempts, unless the caller says so.
        let isCostly = request.order > 3 && !flags.contains(.retryMayFail)
        var attemptsWithoutProgress = 0
        var attempts = 0
        while true {
            attempts += 1
            let returned = shrinkers.shrink(target: max(request.frameCount, 32), flags: flags)
            drainFrameCaches()
            if let frame = takeFromZones(request) { return frame }
            if flags.contains(.noFail) {
                // The reserves are for whoever cannot do without.
                let desperate = AllocationFlags(rawValue: flags.rawValue | AllocationFlags.memoryReserves.rawValue)
                let last = ZoneRequest(order: request.order, flags: desperate, above: .min)
                if let frame = takeFromZones(last) { return frame }
                P.relax()
                continue
            }
            attemptsWithoutProgress = returned > 0 ? 0 : attemptsWithoutProgress + 1
            if flags.contains(.noRetry) || isCostly && returned == 0 { return nil }
            // Progress that makes no block free, because others take it all or because it is scattered, ends too.
            if attemptsWithoutProgress >= 16 || attempts >= 256 { return nil }
            P.relax()
        }
    }

    func reportFailure(_ request: ZoneRequest) {
        if request.flags.contains(.noWarn) { return }
        P.report(FailedAllocation(order: request.order, flags: request.flags.rawValue))
    }
}
