import MemoryPrimitives

/// Where a zone, its state and its list of deferred sections lie in the memory that the zones share.
///
/// Each zone begins a cache line, so that CPUs in different zones do not disturb each other; its state follows it, so
/// that the lock brings the free lists' heads along.
struct ZoneLayout<P: Platform> {
    let runCapacity: Int

    private var stateOffset: Int { Self.rounded(MemoryLayout<Zone<P>>.size, to: MemoryLayout<ZoneState>.alignment) }

    private var runsOffset: Int {
        Self.rounded(stateOffset + MemoryLayout<ZoneState>.size, to: MemoryLayout<SectionRun>.alignment)
    }

    private var stride: Int { Self.rounded(runsOffset + runCapacity * MemoryLayout<SectionRun>.stride, to: 64) }

    /// The bytes for all zones, to be aligned to 64.
    var byteCount: UInt { UInt(stride * ZoneKind.count) }

    /// Puts a zone into its place.
    ///
    /// - Parameter memory: `byteCount` bytes, aligned to 64, never given back; no zone of this kind was placed there.
    @unsafe
    func place(
        _ kind: ZoneKind, in memory: UnsafeMutableRawPointer, table: FrameTable,
        descriptors: consuming DescriptorPool
    ) -> Permanent<Zone<P>> {
        // The zone's own part of the memory, which by init's measure has room for each of these.
        let base = unsafe memory + kind.rawValue * stride
        let deferred = unsafe DeferredSections(in: base + runsOffset, capacity: runCapacity)
        let state = unsafe (base + stateOffset).bindMemory(to: ZoneState.self, capacity: 1)
        unsafe state.initialize(to: ZoneState(table: table, deferred: deferred, descriptors: descriptors))
        return unsafe Permanent(
            placing: Zone(kind, state: state), at: base.bindMemory(to: Zone<P>.self, capacity: 1))
    }

    private static func rounded(_ size: Int, to alignment: Int) -> Int { (size + alignment - 1) & ~(alignment - 1) }
}
