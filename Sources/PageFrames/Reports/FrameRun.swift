import MemoryPrimitives

/// Frames that follow each other and are one thing to the allocator: a block, or frames that it does not hand out.
public struct FrameRun: Equatable, Sendable {
    /// What the frames of a run are to the allocator.
    public enum Kind: UInt8, Sendable {
        /// A free block.
        case free
        /// A free block of the highest order whose descriptors have not been written yet.
        case deferred
        /// In a CPU's frame cache: neither in use nor in a zone.
        case cached
        /// A block that is handed out.
        case allocated
        /// A block that was claimed as a slab.
        case slab
        /// A block that was claimed as a page table.
        case table
        /// Behind a block, kept from everybody (`debug_guardpage`).
        case guardPage
        /// Never given to the allocator.
        case reserved
        /// In a state that there is none of.
        case damaged
    }

    /// What they are.
    public var kind: Kind
    /// The lowest frame.
    public var first: PageFrameNumber
    /// Frames, at least one.
    public var count: UInt
    /// log2 of the frames of the block; 0 where it is none.
    public var order: Int
    /// The owner's tag of a block that is handed out; else 0.
    public var tag: UInt16 = 0
}

extension PageFrameAllocator {
    /// The rest of the block that `frame` lies in, or that frame alone where it is in none. No lock is held on return: while
    /// others allocate, the answers to several calls are not of one moment.
    ///
    /// - Parameters:
    ///   - frame: the head of a block or the first frame after one, as a walk from the start of memory has it.
    ///   - end: where the run ends at the latest; above `frame`.
    /// - Complexity: O(orders + deferred runs of the zone). Takes the zone's lock: not for callers that hold it.
    public func run(at frame: PageFrameNumber, before end: PageFrameNumber) -> FrameRun {
        guard let descriptor = unsafe table.descriptor(of: frame) else { return runWithoutDescriptors(frame, end) }
        // The table's own descriptor; a snapshot.
        let found = unsafe descriptor.snapshot
        var run = FrameRun(kind: .damaged, first: frame, count: 1, order: 0)
        switch found.state {
        case .interior: return freeRun(frame, end)
        case .reserved, .absent: run.kind = .reserved
        case .slabTail: run.kind = .slab
        case .slab: run.kind = .slab
        case .table: run.kind = .table
        case .guardPage: run.kind = .guardPage
        case .allocatedHead, .compoundHead: run.kind = .allocated
        default: break
        }
        if found.state.isHead, Int(found.order) <= BlockOrder.highest {
            run.order = Int(found.order)
            run.tag = found.tag
            run.count = min(1 << UInt(found.order), end.rawValue &- frame.rawValue)
        }
        return run
    }

    /// What of a free block begins at `frame`, or that frame alone, which a frame cache has.
    private func freeRun(_ frame: PageFrameNumber, _ end: PageFrameNumber) -> FrameRun {
        let table = table
        let order = zone(of: frame).value.withState { _ in table.freeOrder(covering: frame) }
        guard let order else { return FrameRun(kind: .cached, first: frame, count: 1, order: 0) }
        let blockEnd = (frame.rawValue | (1 << UInt(order) &- 1)) &+ 1
        return FrameRun(
            kind: .free, first: frame, count: min(blockEnd, end.rawValue) &- frame.rawValue, order: order)
    }

    /// Sections that nobody has used are deferred, or hold nothing that was ever free.
    private func runWithoutDescriptors(_ frame: PageFrameNumber, _ end: PageFrameNumber) -> FrameRun {
        let section = frame.rawValue >> Section.shift
        let deferredEnd =
            section < table.sectionCount
            ? zone(of: frame).value.withState { state in state.deferred.end(ofRunWith: section) } : nil
        let sectionEnd = (deferredEnd ?? section &+ 1) << Section.shift
        return FrameRun(
            kind: deferredEnd == nil ? .reserved : .deferred, first: frame,
            count: min(sectionEnd, end.rawValue) &- frame.rawValue, order: deferredEnd == nil ? 0 : BlockOrder.highest)
    }
}

extension DeferredSections {
    /// The section after the run of deferred ones that `section` is in; nil where it is in none. - Complexity: O(runs).
    func end(ofRunWith section: UInt) -> UInt? {
        var end: UInt?
        forEach { run in
            if UInt(run.start) <= section, section < UInt(run.end) { end = UInt(run.end) }
        }
        return end
    }
}
