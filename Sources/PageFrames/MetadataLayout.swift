import MemoryPrimitives

/// Where the three zones, the CPUs' frame caches and the lists of shrinkers and movers lie in the memory that is taken for them.
struct MetadataLayout<P: Platform> {
    /// As of `ZoneLayout`.
    let runCapacity: Int
    let endSection: UInt

    private var dma: ZoneLayout<P> { ZoneLayout(.dma, runCapacity: runCapacity, endSection: endSection) }
    private var dma32: ZoneLayout<P> { ZoneLayout(.dma32, runCapacity: runCapacity, endSection: endSection) }
    private var normal: ZoneLayout<P> { ZoneLayout(.normal, runCapacity: runCapacity, endSection: endSection) }

    private var cachesOffset: UInt { dma.byteCount + dma32.byteCount + normal.byteCount }

    private var shrinkersOffset: UInt { cachesOffset + UInt(PerCPU<FrameCache<P>, P>.byteCount) }

    private var moversOffset: UInt { shrinkersOffset + UInt(ShrinkerList<P>.byteCount) }

    /// The bytes for all, to be aligned to 64.
    var byteCount: UInt { moversOffset + UInt(FrameMoverList<P>.byteCount) }

    /// Puts the list of movers into its place. - Parameter memory: as of `place`.
    @unsafe
    @inline(never)
    func placeMovers(in memory: UnsafeMutableRawPointer) -> FrameMoverList<P> {
        // The last part of the memory, which nothing else uses.
        unsafe FrameMoverList(in: memory + Int(moversOffset))
    }

    /// Puts the list of shrinkers into its place. - Parameter memory: as of `place`.
    @unsafe
    @inline(never)
    func placeShrinkers(in memory: UnsafeMutableRawPointer) -> ShrinkerList<P> {
        // A part of the memory, which nothing else uses.
        unsafe ShrinkerList(in: memory + Int(shrinkersOffset))
    }

    /// Puts everything into its place.
    ///
    /// - Parameters:
    ///   - memory: `byteCount` bytes, aligned to 64, never given back.
    ///   - census: how many sections' metadata each zone needs.
    ///   - sectionMetadata: room for that, one zone's behind the other's, the lowest zone's first.
    @unsafe
    @inline(never)
    func place(
        in memory: UnsafeMutableRawPointer, table: FrameTable, census: BringUpCensus,
        sectionMetadata: UnsafeMutableRawPointer
    ) -> (zones: InlineArray<3, Permanent<Zone<P>>>, caches: PerCPU<FrameCache<P>, P>) {
        func pool(_ kind: ZoneKind, after sections: UInt) -> DescriptorPool {
            // Within the room for all zones' sections.
            unsafe DescriptorPool(
                in: sectionMetadata + Int(sections * Section.metadataByteCount),
                capacity: Int(census.sections[kind.rawValue]))
        }
        let low = census.sections[ZoneKind.dma.rawValue]
        let middle = census.sections[ZoneKind.dma32.rawValue]
        // The zones follow each other as `cachesOffset` counts them.
        let second = unsafe memory + Int(dma.byteCount)
        let third = unsafe second + Int(dma32.byteCount)
        let zones: InlineArray<3, Permanent<Zone<P>>> = [
            unsafe dma.place(in: memory, table: table, descriptors: pool(.dma, after: 0)),
            unsafe dma32.place(in: second, table: table, descriptors: pool(.dma32, after: low)),
            unsafe normal.place(in: third, table: table, descriptors: pool(.normal, after: low + middle)),
        ]
        return (zones, unsafe PerCPU(zeroedIn: memory + Int(cachesOffset)))
    }
}
