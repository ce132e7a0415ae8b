import MemoryPrimitives
import Synchronization

// Memory that is mapped at its first touch must be there when it is touched. So whoever hands out such memory has the
// frames promised first. A promise is not a frame but a claim on any one: each zone keeps at least as many frames free
// as it has promised, and the claims are alike.
//
//     promise --> outstanding --allocatePromised--> an allocated frame
//                      |
//                      +-------withdrawPromise----> nothing
//
// `outstandingPromises` is raised after the zones' counts and lowered before them. So the zones together always have
// at least one promise for each caller that has lowered it, and a search through the zones that comes back with
// nothing has been overtaken by others and is repeated.
extension PageFrameAllocator {
    /// The frames that can be promised now: those that are free, not promised, and not kept in reserve.
    /// - Complexity: O(CPUs): the frame caches are drained.
    public var promisableFrames: UInt {
        drainFrameCaches()
        return promisableFramesInZones
    }

    /// The same for reports, which leave the frame caches as they are: what these hold is counted.
    /// - Complexity: O(CPUs).
    public var promisableFramesWithCached: UInt {
        var frames: UInt = 0
        for zone in 0..<ZoneKind.count {
            let cached = cachedFrames(inZone: zone)
            frames += zones[zone].value.withState { state in state.promisableFrames(more: cached) }
        }
        return frames
    }

    private var promisableFramesInZones: UInt {
        var frames: UInt = 0
        for zone in 0..<ZoneKind.count {
            frames += zones[zone].value.withState { state in state.promisableFrames }
        }
        return frames
    }

    /// Promises `frames` single frames of any zone, the highest first.
    ///
    /// - Returns: false, with nothing promised, when so many are not free and unpromised. Of two callers at once that
    ///   together want more than there is, both may be refused.
    /// - Complexity: O(1).
    public func promise(frames: Int) -> Bool {
        guard frames >= 0, !(checks.areActive && failsOnPurpose(.none)) else { return false }
        let wanted = UInt(frames)
        // The frame caches may hold what is missing; they are not asked before.
        guard promisableFramesInZones >= wanted || promisableFrames >= wanted else { return false }

        var missing = wanted
        var zone = ZoneKind.count - 1
        while zone >= 0, missing > 0 {
            missing -= zones[zone].value.withState { state in
                let part = min(missing, state.promisableFrames)
                state.promisedFrames += part
                return part
            }
            zone -= 1
        }
        if missing > 0 {
            // Others were faster since the count above.
            removePromises(wanted - missing)
            return false
        }
        outstandingPromises.add(wanted, ordering: .acquiringAndReleasing)
        return true
    }

    /// Withdraws `frames` promises that have not been called upon, of the lowest zone first, so that the scarce memory
    /// is free again. More than are outstanding is an error: reported as `brokenPromise`, and nothing changes.
    ///
    /// - Complexity: O(1).
    public func withdrawPromise(frames: Int) {
        guard frames >= 0, claimPromises(UInt(frames)) else {
            P.report(
                MemoryViolation(
                    .brokenPromise, in: "withdrawPromise", at: 0, "not so many frames are promised",
                    UInt(bitPattern: frames)))
            return
        }
        removePromises(UInt(frames))
    }

    /// Allocates one frame that has been promised. It takes one promise from those outstanding.
    ///
    /// - Parameter flags: `.zero` is obeyed. The frame may lie in any zone.
    /// - Returns: a frame, while a promise is outstanding: always, unless the promised one turns out to be damaged, which
    ///   is reported, and all others are promised. Without a promise the call is an error: reported as `brokenPromise`,
    ///   and nil.
    /// - Complexity: O(orders).
    public func allocatePromised(flags: AllocationFlags = .kernel) -> PageFrameNumber? {
        guard claimPromises(1) else {
            P.report(MemoryViolation(.brokenPromise, in: "allocatePromised", at: 0, "no frame is promised"))
            return nil
        }
        if !checks.areActive, let frame = takeUnpromised(flags) {
            return finish(frame, order: 0, flags) ?? allocateInsteadOfDamaged(flags)
        }
        while true {
            var zone = ZoneKind.count - 1
            while zone >= 0 {
                let frame = zones[zone].value.withState { state in state.allocatePromised() }
                if let frame {
                    let promised =
                        checks.areActive
                        ? handOut(frame, order: 0, flags, isGuarded: false) : finish(frame, order: 0, flags)
                    return promised ?? allocateInsteadOfDamaged(flags)
                }
                zone -= 1
            }
            P.relax()
        }
    }

    /// A frame that nobody was promised, from this CPU's ring or with a batch for it, where memory is above the low mark: no
    /// search. A promise that the caller has claimed goes in its place, which leaves the zone one more to spare.
    @inline(__always)
    private func takeUnpromised(_ flags: AllocationFlags) -> UInt32? {
        let urgent: AllocationFlags = .noFail | .memoryReserves | .high | .tryHarder
        let request = ZoneRequest(order: 0, flags: flags.subtracting(urgent), above: .low)
        guard let frame = takeFromZone(request, preferredZones[request.highestZone.rawValue]) else { return nil }
        while true {
            var zone = preferredZones[ZoneKind.count &- 1]
            while zone >= 0 {
                let isGone = zones[zone].value.withUnsettledState { state in
                    if state.promisedFrames == 0 { return false }
                    state.promisedFrames &-= 1
                    return true
                }
                if isGone { return frame }
                zone &-= 1
            }
            P.relax()
        }
    }

    /// Allocates 2^`order` frames that have been promised as one block, where a zone that has promised so many has one; takes
    /// as many promises from those outstanding.
    ///
    /// - Parameters:
    ///   - order: above 0; the block is aligned to its size.
    ///   - flags: `.zero` is obeyed. The block may lie in any zone.
    /// - Returns: nil where there is none: the promises stand as before, and the frames can be had one by one.
    /// - Complexity: O(orders). Nothing is waited for, and nothing reported.
    public func allocatePromisedBlock(order: Int, flags: AllocationFlags = .kernel) -> PageFrameNumber? {
        let isChecked = checks.areActive
        if isChecked, failsOnPurpose(flags | .noWarn) { return nil }
        let count = UInt(1) &<< UInt(bitPattern: order)
        // Where somebody has withdrawn what was not his, the single frame that is missing says so.
        guard claimPromises(count) else { return nil }
        var zone = ZoneKind.count - 1
        while zone >= 0 {
            let frame = zones[zone].value.withState { state in state.allocatePromised(order: order) }
            if let frame {
                let block =
                    isChecked
                    ? handOut(frame, order: order, flags, isGuarded: false) : finish(frame, order: order, flags)
                // A damaged block is reported and lost. What was promised on it is promised anew, as far as memory goes.
                if block == nil { _ = promise(frames: Int(bitPattern: count)) }
                return block
            }
            zone -= 1
        }
        // Nobody else has seen the zones with fewer promises.
        outstandingPromises.add(count, ordering: .acquiringAndReleasing)
        return nil
    }

    /// A frame that is not promised, reserves included, in place of a promised one that was damaged. Without waiting.
    @inline(never)
    private func allocateInsteadOfDamaged(_ flags: AllocationFlags) -> PageFrameNumber? {
        let atOnce = AllocationFlags(rawValue: flags.rawValue & ~AllocationFlags.directReclaim.rawValue)
        return allocateSlow(order: 0, flags: atOnce | .memoryReserves | .noFail | .noWarn)
    }

    /// Lowers the number of outstanding promises; false, and nothing changes, where there are not so many.
    private func claimPromises(_ count: UInt) -> Bool {
        var outstanding = outstandingPromises.load(ordering: .relaxed)
        while outstanding >= count {
            let (exchanged, original) = outstandingPromises.weakCompareExchange(
                expected: outstanding, desired: outstanding - count, successOrdering: .acquiringAndReleasing,
                failureOrdering: .relaxed)
            if exchanged { return true }
            outstanding = original
        }
        return false
    }

    /// Removes promises that are counted in the zones and no longer, or not yet, as outstanding.
    private func removePromises(_ count: UInt) {
        var remaining = count
        while true {
            for zone in 0..<ZoneKind.count {
                remaining -= zones[zone].value.withState { state in
                    let part = min(remaining, state.promisedFrames)
                    state.promisedFrames -= part
                    return part
                }
            }
            if remaining == 0 { return }
            P.relax()
        }
    }
}
