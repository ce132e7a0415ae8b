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
    let frames: Permanent<PageFrameAllocator<P>>
    private let statePointer: UnsafeMutablePointer<State>

    /// What changes, all of it under the lock but `cache`, which is set once.
    struct State: ~Copyable {
        var tree: AreaTree
        var figures = AreaStatistics()
        var freed = FreedAreas()
        var resting: RestingAreas
        var first: FirstAreaNotes
        var cache: CacheReference<P>?

        init(space: VirtualRange, resting: RestingAreas, first: FirstAreaNotes, head: AreaReference) {
            tree = AreaTree(space: space, head: head)
            self.resting = resting
            self.first = first
        }
    }

    /// With so many, two requests in three find a range when all sizes up to 64 pages are equally frequent.
    public static var usualRestingPages: UInt { 80 }

    /// Bytes of memory that `init` needs, with room for the notes of 13 areas.
    public static var byteCount: UInt { UInt(notesOffset + 13 * FirstAreaNotes.stride) }

    private static var queuesOffset: Int { (MemoryLayout<State>.size + 63) & ~63 }
    private static var notesOffset: Int { (queuesOffset + RestingAreas.byteCount + 63) & ~63 }

    /// An allocator that can note down 12 areas, until `useCache` gives it a slab cache: it works before slab.
    /// - Parameters:
    ///   - space: whole pages, not the first one.
    ///   - frames: tell a report's walk, which has no lock, what it can read.
    ///   - memory: `byteCount` bytes, aligned to 64, in the direct map; the allocator's for good.
    ///   - restingPages: how many pages of one size may wait, after they were freed, for a request for as many. They lie
    ///     between others that are in use, and are given up where there is no gap for a request.
    @unsafe
    public init(
        space: VirtualRange, frames: Permanent<PageFrameAllocator<P>>, memory: UnsafeMutableRawPointer,
        restingPages: UInt = VirtualRangeAllocator.usualRestingPages
    ) {
        precondition(space.start.isAligned(to: PageSize.byteCount) && space.end.isAligned(to: PageSize.byteCount))
        precondition(space.start.rawValue > 0)
        self.space = space
        self.frames = frames
        // Each part of the caller's memory has room for what is put there.
        unsafe statePointer = memory.bindMemory(to: State.self, capacity: 1)
        let resting = unsafe RestingAreas(pageLimit: restingPages, in: memory + Self.queuesOffset)
        var first = unsafe FirstAreaNotes(
            in: UnsafeMutableRawBufferPointer(
                start: memory + Self.notesOffset, count: Int(Self.byteCount) - Self.notesOffset))
        guard let room = unsafe first.take() else { preconditionFailure("there is room for 13") }
        let head = Area(
            kind: .vmalloc, state: .live, isOnDemand: false, guardPagesBelow: 0,
            guardPagesAbove: 0,
            range: VirtualRange(space.start, space.start), name: "", caller: 0, presentPages: 0)
        // The room is the head's for good.
        let reference = unsafe AreaReference(head, in: room)
        unsafe statePointer.initialize(to: State(space: space, resting: resting, first: first, head: reference))
    }

    /// The state, for whoever holds the lock, and for reports that cannot wait for it.
    @inline(__always)
    var unlockedState: State {
        // Initialised by init and never given back; callers hold the lock unless they only report.
        unsafeAddress { unsafe UnsafePointer(statePointer) }
        nonmutating unsafeMutableAddress { unsafe statePointer }
    }

    // MARK: Coming

    /// Reserves a range for the request: one of just as many pages that was freed lately, where
    /// nothing is asked for but pages; else the lowest gap that fits.
    ///
    /// An alignment above a page asks for a gap in which the area fits wherever the gap starts; a tighter one that would
    /// do by luck is passed over, which keeps the search O(log n). So it is with bounds: the gap, or what is left of it
    /// above the lower one, must have room for the area and the slack of its alignment.
    /// - Returns: nil, with nothing changed, where no gap is large enough, the size overflows, or there is no memory.
    /// - Complexity: O(log n); where there is no gap, O(ranges that rest) besides.
    public func allocate(_ request: AreaRequest, flags: AllocationFlags = .kernel) -> Area? {
        guard let pages = pagesTaken(by: request) else {
            reportLack(request, flags)
            return nil
        }
        if request.bounds == nil, request.alignment == PageSize.byteCount,
            let reference = takeOver(request, pages)
        {
            return Self.copy(reference)
        }
        guard let room = unsafe takeNote(flags) else { return nil }
        if let reference = unsafe place(request, pages, in: room) { return Self.copy(reference) }
        if giveUpResting(), let reference = unsafe place(request, pages, in: room) { return Self.copy(reference) }
        // Taken above and given to nobody.
        unsafe giveBack(note: room)
        reportLack(request, flags)
        return nil
    }

    /// Reports that there is no gap for a request, unless the flags forbid it.
    @inline(never)
    private func reportLack(_ request: AreaRequest, _ flags: AllocationFlags) {
        if flags.contains(.noWarn) || request.pageCount == 0 { return }
        let guards = UInt(request.guardPagesBelow) &+ UInt(request.guardPagesAbove)
        let (pages, overflow) = request.pageCount.addingReportingOverflow(guards)
        let byteCount = overflow || pages >> (64 &- PageSize.shift) != 0 ? UInt.max : pages << PageSize.shift
        P.report(FailedAllocation(areaOf: byteCount, lack: .addresses, flags: flags.rawValue))
    }

    /// The pages that a request takes, guard pages included; nil where it cannot be.
    @inline(__always)
    private func pagesTaken(by request: AreaRequest) -> UInt? {
        guard request.pageCount > 0, request.alignment >= PageSize.byteCount,
            request.alignment & (request.alignment &- 1) == 0
        else { return nil }
        let guards = UInt(request.guardPagesBelow) &+ UInt(request.guardPagesAbove)
        let (pages, overflow) = request.pageCount.addingReportingOverflow(guards)
        return overflow || pages > space.byteCount >> PageSize.shift ? nil : pages
    }

    /// Makes a range that rests the request's.
    @inline(__always)
    private func takeOver(_ request: AreaRequest, _ pages: UInt) -> AreaReference? {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        guard let reference = unlockedState.resting.take(pages) else { return nil }
        reference.node.area = Self.area(request, at: reference.node.area.range)
        unlockedState.figures.areas &+= 1
        unlockedState.figures.reservedPages &+= request.pageCount
        return reference
    }

    private static func area(_ request: AreaRequest, at range: VirtualRange) -> Area {
        Area(
            kind: request.kind, state: request.isLiveAtOnce ? .live : .reserved, isOnDemand: request.isOnDemand,
            traits: Area.traits(of: request), guardPagesBelow: request.guardPagesBelow,
            guardPagesAbove: request.guardPagesAbove, range: range,
            name: request.name, caller: request.caller, presentPages: 0)
    }

    /// An area as its owner sees it, who alone knows of it.
    @inline(__always)
    static func copy(_ reference: AreaReference) -> Area {
        var area = reference.node.area
        area.note = reference
        return area
    }

    /// Takes `pages` pages out of the lowest gap that fits, and notes the area down in `room`.
    private func place(
        _ request: AreaRequest, _ pages: UInt, in room: UnsafeMutableRawPointer
    ) -> AreaReference? {
        let byteCount = pages &<< PageSize.shift
        // The gap holds the slack that rounding up can need.
        let (wanted, tooFar) = byteCount.addingReportingOverflow(request.alignment &- PageSize.byteCount)
        if tooFar { return nil }
        let bounds = request.bounds?.intersection(space)
        if request.bounds != nil && bounds == nil { return nil }
        let lowest = bounds?.start ?? space.start
        let highest = bounds?.end ?? space.end
        let guardBytes = UInt(request.guardPagesBelow) &<< PageSize.shift
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        guard let previous = unlockedState.tree.areaBeforeGap(of: wanted, from: lowest) else { return nil }
        let gap = max(previous.end.rawValue, lowest.rawValue)
        // All of it lies within the gap.
        let start = ((gap &+ guardBytes &+ request.alignment &- 1) & ~(request.alignment &- 1)) &- guardBytes
        if start &+ byteCount > highest.rawValue { return nil }
        let range = VirtualRange(VirtualAddress(start), VirtualAddress(start &+ byteCount))
        // The room is the note's from here until `release` gives it back.
        let reference = unsafe AreaReference(Self.area(request, at: range), in: room)
        unlockedState.tree.insert(reference, after: previous)
        unlockedState.figures.areas &+= 1
        unlockedState.figures.reservedPages &+= request.pageCount
        return reference
    }

    /// Ends the set-up of an area that the caller reserved: it is in use, with `presentPages` frames behind it, and so many
    /// promised for tables that its pages may need. - Complexity: O(1).
    public func publish(_ area: borrowing Area, presentPages: UInt, promisedTables: UInt = 0) {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        guard let reference = Self.exact(area, in: .reserved) else {
            return Self.reportState(area, in: "VirtualRangeAllocator.publish")
        }
        reference.node.area.state = .live
        reference.node.area.presentPages = presentPages
        unlockedState.figures.add(presentPages, of: area.kind)
        if area.isOnDemand {
            reference.node.area.promisedTables = promisedTables
            unlockedState.figures.promisedFrames &+= reference.node.area.promisedFrames
            unlockedState.figures.touchedPages &+= presentPages
        }
    }

    /// Gives back an area that the caller reserved and could not set up. - Complexity: O(log n).
    public func abandon(_ area: Area) { release(area, from: .reserved, in: "VirtualRangeAllocator.abandon") }

    // MARK: In use

    /// The range, guard pages included, of the area that `address` lies in; as `area(containing:)`, for those who want no
    /// more. - Complexity: O(log n).
    public func range(around address: VirtualAddress) -> VirtualRange? {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        guard let reference = unlockedState.tree.find(containing: address), reference.node.area.state != .resting else {
            return nil
        }
        return reference.node.area.range
    }

    /// Takes note that pages in a range are allowed other things than at first. - Complexity: O(areas there * log n).
    func notePermissionChange(in range: VirtualRange) {
        lock.withLock {
            var address = range.start
            while address < range.end, let reference = unlockedState.tree.find(containing: address) {
                reference.node.area.hasOtherPermissions = true
                address = reference.node.area.range.end
            }
        }
    }

    /// Runs `body` with the live area whose range contains `address`, which nobody can begin to free meanwhile: the lock is
    /// held. `body` must not touch memory that is mapped on demand, nor call the allocator.
    /// - Returns: nil where there is no such area. - Complexity: O(log n) and `body`.
    func withLiveArea<Result>(at address: VirtualAddress, _ body: (Area) -> Result) -> Result? {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        guard let reference = unlockedState.tree.find(containing: address), reference.node.area.state == .live else {
            return nil
        }
        return body(reference.node.area)
    }

    /// The area whose range contains `address`. - Complexity: O(log n).
    public func area(containing address: VirtualAddress) -> Area? {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        guard let reference = unlockedState.tree.find(containing: address), reference.node.area.state != .resting else {
            return nil
        }
        return reference.node.area
    }
}
