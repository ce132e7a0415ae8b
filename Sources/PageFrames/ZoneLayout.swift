import MemoryPrimitives

/// Where a zone, its state, its list of deferred sections and its index of page blocks lie in memory of their own.
///
/// Each zone begins a cache line, so that CPUs in different zones do not disturb each other; its state follows it, so
/// that the lock brings what it protects along.
struct ZoneLayout<P: Platform> {
    let kind: ZoneKind
    let runCapacity: Int
    /// Page blocks from the zone's first possible frame to the last that there is.
    let blockCount: UInt

    /// - Parameters:
    ///   - runCapacity: how many runs of deferred sections there is to be room for.
    ///   - endSection: no frame of this section or above is managed.
    init(_ kind: ZoneKind, runCapacity: Int, endSection: UInt) {
        self.kind = kind
        self.runCapacity = runCapacity
        let end = min(kind.endFrame.rawValue, endSection << Section.shift)
        blockCount = end > kind.firstFrame.rawValue ? (end - kind.firstFrame.rawValue) >> UInt(PageBlock.order) : 0
    }

    private var stateOffset: Int { Self.rounded(MemoryLayout<Zone<P>>.size, to: MemoryLayout<ZoneState>.alignment) }

    private var runsOffset: Int {
        Self.rounded(stateOffset + MemoryLayout<ZoneState>.size, to: MemoryLayout<SectionRun>.alignment)
    }

    private var indexOffset: Int { Self.rounded(runsOffset + runCapacity * MemoryLayout<SectionRun>.stride, to: 64) }

    private var countsOffset: Int { indexOffset + Int(FreeIndex.byteCount(blockCount: blockCount)) }

    /// The bytes for the zone, to be aligned to 64; a multiple of 64.
    var byteCount: UInt { UInt(Self.rounded(countsOffset + FreeCounts.byteCount, to: 64)) }

    /// Puts the zone into its place.
    ///
    /// - Parameter memory: `byteCount` bytes, aligned to 64, never given back.
    @unsafe
    func place(
        in memory: UnsafeMutableRawPointer, table: FrameTable, descriptors: consuming DescriptorPool
    ) -> Permanent<Zone<P>> {
        // The zone's own memory, which by the measures above has room for each of these.
        let deferred = unsafe DeferredSections(in: memory + runsOffset, capacity: runCapacity)
        let index = unsafe FreeIndex(in: memory + indexOffset, blockCount: blockCount)
        let buddy = BuddyAllocator(
            table: table, index: index, counts: unsafe FreeCounts(in: memory + countsOffset),
            firstBlock: UInt32(truncatingIfNeeded: kind.firstFrame.rawValue >> UInt(PageBlock.order)),
            zone: kind.rawValue)
        let state = unsafe (memory + stateOffset).bindMemory(to: ZoneState.self, capacity: 1)
        unsafe state.initialize(to: ZoneState(buddy: buddy, deferred: deferred, descriptors: descriptors))
        return unsafe Permanent(
            placing: Zone(kind, state: state), at: memory.bindMemory(to: Zone<P>.self, capacity: 1))
    }

    private static func rounded(_ size: Int, to alignment: Int) -> Int { (size + alignment - 1) & ~(alignment - 1) }
}
