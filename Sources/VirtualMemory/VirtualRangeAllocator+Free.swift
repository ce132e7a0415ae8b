import MemoryPrimitives

/// How areas go.
extension VirtualRangeAllocator {
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
    /// - Returns: whether the caller is the one, and else what is there.
    public func beginFree(_ start: VirtualAddress, kind: AreaKind = .vmalloc) -> FreeOutcome {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        guard let reference = live(start, kind) else { return diagnose(start, kind) }
        reference.node.area.state = .dying
        return .begun(Self.copy(reference))
    }

    /// As `beginFree`; the area's note, which is the caller's until `finishFree`, or nil: see `diagnosis`.
    @inline(__always)
    func claim(_ start: VirtualAddress, _ kind: AreaKind) -> AreaReference? {
        let interrupts = lock.acquire()
        let reference = live(start, kind)
        reference?.node.area.state = .dying
        lock.release(interrupts)
        return reference
    }

    /// Why `claim` found nothing.
    @inline(never)
    func diagnosis(of start: VirtualAddress, _ kind: AreaKind) -> FreeOutcome {
        lock.withLock { diagnose(start, kind) }
    }

    /// Frees the live area of `kind` whose first usable address is `start`, behind which there are no pages to be taken
    /// away. - Returns: nil where that is done; else why not. - Complexity: O(log n).
    public func free(_ start: VirtualAddress, kind: AreaKind = .vmalloc) -> FreeOutcome? {
        let interrupts = lock.acquire()
        guard let reference = live(start, kind) else {
            defer { lock.release(interrupts) }
            return diagnose(start, kind)
        }
        reference.node.area.state = .dying
        release(reference, interrupts)
        return nil
    }

    /// The live area of `kind` whose first usable address is `start`. The lock is held.
    @inline(__always)
    private func live(_ start: VirtualAddress, _ kind: AreaKind) -> AreaReference? {
        guard let reference = find(start), reference.node.area.state == .live,
            reference.node.area.kind == kind,
            reference.start.rawValue &+ UInt(reference.node.area.guardPagesBelow) &<< PageSize.shift == start.rawValue
        else { return nil }
        return reference
    }

    /// Why there is no such area. The lock is held.
    @inline(never)
    private func diagnose(_ start: VirtualAddress, _ kind: AreaKind) -> FreeOutcome {
        guard let reference = find(start) else {
            if let area = unlockedState.freed.latest(containing: start), area.usable.start == start {
                return .freedAlready(area)
            }
            return .unknown
        }
        let area = reference.node.area
        switch area.state {
        case .retired, .resting: return area.usable.start == start ? .freedAlready(area) : .unknown
        case _ where area.kind != kind: return .otherKind(area)
        case _ where area.usable.start != start: return .notAStart(area)
        case .reserved, .live: return .notAStart(area)
        case .dying, .gone: return .freedAlready(area)
        }
    }

    /// Ends the freeing of an area whose pages are gone: its range is free. - Complexity: O(log n).
    public func finishFree(_ area: Area) { release(area, from: .dying, in: "VirtualRangeAllocator.finishFree") }

    /// As above, by the area's note.
    @inline(__always)
    func finishFree(_ reference: AreaReference) { release(reference, lock.acquire()) }

    @inline(__always)
    func release(_ area: borrowing Area, from state: AreaState, in call: StaticString) {
        let interrupts = lock.acquire()
        guard let reference = Self.exact(area, in: state) else {
            lock.release(interrupts)
            return Self.reportState(area, in: call)
        }
        release(reference, interrupts)
    }

    /// Ends an area that nobody uses any more, and releases the lock, which is held.
    @inline(__always)
    private func release(_ reference: AreaReference, _ interrupts: InterruptState) {
        unlockedState.figures.areas &-= 1
        unlockedState.figures.reservedPages &-= reference.node.area.reservedPages
        unlockedState.figures.remove(reference.node.area.presentPages, of: reference.node.area.kind)
        // What was never published has not been counted.
        if reference.node.area.isOnDemand && reference.node.area.state == .dying { forgetTouches(of: reference) }
        let gone = letRest(reference)
        lock.release(interrupts)
        // In the tree no more.
        if let gone { unsafe giveBack(note: gone.memory) }
    }

    /// Lets a range rest, or frees it. The lock is held.
    /// - Returns: its note where that is in the tree no more.
    @inline(__always)
    func letRest(_ reference: AreaReference) -> AreaReference? {
        let pages = reference.node.area.range.byteCount &>> PageSize.shift
        if unlockedState.resting.put(reference, pageCount: pages) { return nil }
        if reference.node.area.state != .reserved { unlockedState.freed.note(reference.node.area) }
        unlockedState.starts.forget(reference)
        unlockedState.tree.remove(reference)
        reference.node.area.state = .gone
        return reference
    }

    /// The note of `area` where that is in `state`. The lock is held.
    @inline(__always)
    static func exact(_ area: borrowing Area, in state: AreaState) -> AreaReference? {
        guard let reference = area.note, reference.node.area.state == state, reference.start == area.range.start else {
            return nil
        }
        return reference
    }

    static func reportState(_ area: borrowing Area, in call: StaticString) {
        P.report(
            MemoryViolation(.corruption, in: call, at: area.range.start.rawValue, "the area is not in that state"))
    }

    /// Gives up all that rests. - Returns: false where nothing does. - Complexity: O(ranges that rest).
    @discardableResult
    public func giveUpResting() -> Bool {
        var found = false
        while let reference = lock.withLock({ takeOutResting() }) {
            found = true
            // Out of the tree just now.
            unsafe giveBack(note: reference.memory)
        }
        return found
    }

    /// Takes an area that rests out of the tree. The lock is held.
    func takeOutResting() -> AreaReference? {
        guard let reference = unlockedState.resting.takeAny() else { return nil }
        unlockedState.freed.note(reference.node.area)
        unlockedState.starts.forget(reference)
        unlockedState.tree.remove(reference)
        reference.node.area.state = .gone
        return reference
    }
}
