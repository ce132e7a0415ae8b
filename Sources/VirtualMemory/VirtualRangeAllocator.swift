import MemoryPrimitives
import PageFrames
import Slab

/// Hands out ranges of whole pages of address space, each with its guard pages, and knows what each is for.
///
/// It decides about addresses only: page tables and frames are its callers' business. An area comes and goes in two
/// steps each (see `AreaState`), so that its pages can be set up and taken away without the lock, while nobody else can
/// get the addresses. Any context may call, several CPUs at once; nothing sleeps. A fault on memory that is mapped on
/// demand takes this lock, so nobody may touch such memory while holding it; nothing in here does.
@safe
public struct VirtualRangeAllocator<P: Platform>: ~Copyable, @unchecked Sendable {
    /// Where the areas come from.
    public let space: VirtualRange

    let lock = SpinLock<P>()
    private let frames: Permanent<PageFrameAllocator<P>>
    private let kmalloc: Permanent<Kmalloc<P>>
    private let statePointer: UnsafeMutablePointer<State>

    /// What changes, all of it under the lock.
    struct State: ~Copyable {
        var tree = AreaTree()
        var freed = FreedAreas()
        var figures = AreaStatistics()
    }

    /// - Parameters:
    ///   - space: whole pages.
    ///   - frames: tell a report's walk, which has no lock, what it can read.
    ///   - kmalloc: gives the memory that areas are noted down in.
    /// - Returns: nil where there is no memory.
    public init?(space: VirtualRange, frames: Permanent<PageFrameAllocator<P>>, kmalloc: Permanent<Kmalloc<P>>) {
        precondition(space.start.isAligned(to: PageSize.byteCount) && space.end.isAligned(to: PageSize.byteCount))
        // Not looked through for references: what was freed lately is noted down here, and would keep new areas from
        // being found lost.
        let size = UInt(MemoryLayout<State>.size)
        guard let memory = unsafe kmalloc.value.allocate(size, flags: .kernel | .noLeakTrace) else { return nil }
        self.space = space
        self.frames = frames
        self.kmalloc = kmalloc
        // Fresh memory of this size, aligned for any type, and this value's for good.
        unsafe statePointer = memory.bindMemory(to: State.self, capacity: 1)
        unsafe statePointer.initialize(to: State())
    }

    /// The state, for whoever holds the lock, and for reports that cannot wait for it.
    @inline(__always)
    var unlockedState: State {
        // Initialised by init and never given back; callers hold the lock unless they only report.
        unsafeAddress { unsafe UnsafePointer(statePointer) }
        nonmutating unsafeMutableAddress { unsafe statePointer }
    }

    // MARK: Coming

    /// Reserves the lowest range that fits the request, in state `reserved`.
    ///
    /// An alignment above a page asks for a gap in which the area fits wherever the gap starts; a tighter one that would
    /// do by luck is passed over, which keeps the search O(log n).
    /// - Returns: nil, with nothing changed, where no gap is large enough, the size overflows, or kmalloc has no memory.
    /// - Complexity: O(log n).
    public func allocate(_ request: AreaRequest, flags: AllocationFlags = .kernel) -> Area? {
        guard request.pageCount > 0, request.alignment >= PageSize.byteCount,
            request.alignment & (request.alignment &- 1) == 0
        else { return nil }
        let guards = UInt(request.guardPagesBelow) + UInt(request.guardPagesAbove)
        let (pages, overflow) = request.pageCount.addingReportingOverflow(guards)
        if overflow || pages > space.byteCount >> PageSize.shift { return nil }
        let byteCount = pages << PageSize.shift
        let (wanted, tooFar) = byteCount.addingReportingOverflow(request.alignment &- PageSize.byteCount)
        if tooFar { return nil }

        // Before the lock is taken, so that it is never held while kmalloc looks for memory.
        guard let memory = unsafe kmalloc.value.allocate(UInt(MemoryLayout<AreaNode>.size), flags: flags | .noLeakTrace)
        else { return nil }
        let area = lock.withLock { () -> Area? in
            guard let gap = unlockedState.tree.lowestGap(of: wanted, in: space) else { return nil }
            let guardBytes = UInt(request.guardPagesBelow) << PageSize.shift
            // The gap holds the slack that rounding up can need.
            guard let usableStart = (gap + guardBytes).roundedUp(to: request.alignment) else { return nil }
            let start = usableStart - guardBytes
            let area = Area(
                kind: request.kind, state: .reserved, isOnDemand: request.isOnDemand,
                guardPagesBelow: request.guardPagesBelow, guardPagesAbove: request.guardPagesAbove,
                range: VirtualRange(start, start + byteCount),
                name: request.name, caller: request.caller, presentPages: 0)
            // The memory is the node's from here until `release` gives it back.
            unlockedState.tree.insert(unsafe AreaReference(area, in: memory))
            unlockedState.figures.areas &+= 1
            unlockedState.figures.reservedPages &+= area.reservedPages
            return area
        }
        // Allocated above and given to nobody.
        if area == nil { unsafe kmalloc.value.free(memory) }
        return area
    }

    /// Ends the set-up of an area that the caller reserved: it is in use, with `presentPages` frames behind it.
    /// - Complexity: O(log n).
    public func publish(_ area: Area, presentPages: UInt) {
        let published = lock.withLock { () -> Bool in
            guard let reference = exact(area, in: .reserved) else { return false }
            reference.node.area.state = .live
            reference.node.area.presentPages = presentPages
            unlockedState.figures.add(presentPages, of: area.kind)
            return true
        }
        if !published { reportState(area, in: "VirtualRangeAllocator.publish") }
    }

    /// Gives back an area that the caller reserved and could not set up. - Complexity: O(log n).
    public func abandon(_ area: Area) { release(area, from: .reserved, in: "VirtualRangeAllocator.abandon") }

    // MARK: Going

    /// What `beginFree` found.
    public enum FreeOutcome: Sendable {
        /// The area is the caller's to take apart, and to end with `finishFree`.
        case begun(Area)
        /// The address is where an area started that is being freed, or was freed lately.
        case freedAlready(Area)
        /// The address lies within an area, or is the start of one that was never published; it is left alone.
        case notAStart(Area)
        /// The area that starts there is of another kind than the caller's; it is left alone.
        case otherKind(Area)
        /// No area is there.
        case unknown
    }

    /// Chooses the caller as the one that frees the live area of `kind` whose first usable address is `start`.
    /// - Complexity: O(log n).
    public func beginFree(_ start: VirtualAddress, kind: AreaKind = .vmalloc) -> FreeOutcome {
        lock.withLock {
            guard let reference = unlockedState.tree.find(containing: start) else {
                if let area = unlockedState.freed.latest(containing: start), area.usable.start == start {
                    return .freedAlready(area)
                }
                return .unknown
            }
            let area = reference.node.area
            if area.kind != kind { return .otherKind(area) }
            if area.usable.start != start { return .notAStart(area) }
            switch area.state {
            case .reserved: return .notAStart(area)
            case .dying: return .freedAlready(area)
            case .live:
                reference.node.area.state = .dying
                return .begun(reference.node.area)
            }
        }
    }

    /// Ends the freeing of an area whose pages are gone: its range is free. - Complexity: O(log n).
    public func finishFree(_ area: Area) { release(area, from: .dying, in: "VirtualRangeAllocator.finishFree") }

    private func release(_ area: Area, from state: AreaState, in call: StaticString) {
        let reference = lock.withLock { () -> AreaReference? in
            guard let reference = exact(area, in: state) else { return nil }
            unlockedState.tree.remove(reference)
            unlockedState.figures.areas &-= 1
            unlockedState.figures.reservedPages &-= area.reservedPages
            unlockedState.figures.remove(reference.node.area.presentPages, of: area.kind)
            if state == .dying { unlockedState.freed.note(reference.node.area) }
            return reference
        }
        guard let reference else { return reportState(area, in: call) }
        // Nobody reaches the node any more, except a fatal report, which checks what it reads.
        unsafe kmalloc.value.free(reference.memory)
    }

    /// The node of `area` where that is in `state`. The lock is held.
    private func exact(_ area: Area, in state: AreaState) -> AreaReference? {
        guard let reference = unlockedState.tree.find(containing: area.range.start) else { return nil }
        return reference.start == area.range.start && reference.node.area.state == state ? reference : nil
    }

    private func reportState(_ area: Area, in call: StaticString) {
        P.report(
            MemoryViolation(.corruption, in: call, at: area.range.start.rawValue, "the area is not in that state"))
    }

    // MARK: In use

    /// Counts one more frame behind the live area that `address` lies in.
    /// - Returns: false, with nothing changed, where there is no live area, or `address` lies in a guard page.
    /// - Complexity: O(log n). The page-fault handler calls it.
    public func notePresentPage(at address: VirtualAddress) -> Bool {
        lock.withLock {
            guard let reference = unlockedState.tree.find(containing: address),
                reference.node.area.state == .live, reference.node.area.usable.contains(address)
            else { return false }
            reference.node.area.presentPages &+= 1
            unlockedState.figures.add(1, of: reference.node.area.kind)
            return true
        }
    }

    /// Takes one frame off the count again, after a fault that could not be resolved. - Complexity: O(log n).
    func forgetPresentPage(at address: VirtualAddress) {
        lock.withLock {
            guard let reference = unlockedState.tree.find(containing: address) else { return }
            reference.node.area.presentPages &-= 1
            unlockedState.figures.remove(1, of: reference.node.area.kind)
        }
    }

    /// The area whose range contains `address`. - Complexity: O(log n).
    public func area(containing address: VirtualAddress) -> Area? {
        lock.withLock { unlockedState.tree.find(containing: address)?.node.area }
    }

    // MARK: For fatal reports

    /// The area that contains `address`, or else the nearest one. Waits for no lock.
    ///
    /// Where another CPU, or this one, holds the lock, the answer may miss an area that is changing just now.
    /// - Complexity: O(log n), at most 64 steps without the lock.
    public func nearestArea(to address: VirtualAddress) -> Area? {
        guard let interrupts = lock.tryAcquire() else { return nearestAreaUnlocked(to: address) }
        defer { lock.release(interrupts) }
        return unlockedState.tree.nearest(to: address)?.node.area
    }

    /// Where `address` lies among the areas. Waits for no lock, as `nearestArea`.
    public func describe(_ address: VirtualAddress) -> AddressDescription {
        guard space.contains(address) else { return AddressDescription(.outsideSpace) }
        guard let area = nearestArea(to: address) else {
            if let area = freedArea(containing: address) { return AddressDescription(.freed, area) }
            return AddressDescription(.noAreas)
        }
        if !area.range.contains(address), let freed = freedArea(containing: address) {
            return AddressDescription(.freed, freed)
        }
        return AddressDescription(of: address, near: area)
    }

    private func freedArea(containing address: VirtualAddress) -> Area? {
        guard let interrupts = lock.tryAcquire() else { return nil }
        defer { lock.release(interrupts) }
        return unlockedState.freed.latest(containing: address)
    }

    /// `nearest` while others may change the tree: each link is checked to lead to RAM before it is followed, and the
    /// number of steps is limited. What it answers may be out of date, and it ends.
    func nearestAreaUnlocked(to address: VirtualAddress) -> Area? {
        var best: Area?
        var bestDistance = UInt.max
        var current = unlockedState.tree.root
        for _ in 0..<64 {
            guard let reference = current, isReadable(reference) else { break }
            let area = reference.node.area
            let isBelow = area.range.end <= address
            if area.range.contains(address) { return area }
            let distance =
                isBelow ? address.rawValue &- area.range.end.rawValue : area.range.start.rawValue &- address.rawValue
            if distance < bestDistance {
                best = area
                bestDistance = distance
            }
            current = isBelow ? reference.node.right : reference.node.left
        }
        return best
    }

    /// True when all of the node lies in frames that the direct map reaches.
    private func isReadable(_ reference: AreaReference) -> Bool {
        let address = unsafe VirtualAddress(reference.memory)
        let directMap = frames.value.directMap
        let first = directMap.physicalAddress(of: address)
        let last = PhysicalAddress(first.rawValue &+ UInt(MemoryLayout<AreaNode>.size &- 1))
        return address.isAligned(to: UInt(MemoryLayout<AreaNode>.alignment))
            && frames.value.state(of: PageFrameNumber(containing: first)) != .absent
            && frames.value.state(of: PageFrameNumber(containing: last)) != .absent
    }
}
