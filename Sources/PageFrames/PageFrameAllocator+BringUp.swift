import BootMemory
import MemoryPrimitives

extension PageFrameAllocator {
    /// Takes over all memory that the boot allocator has not given away.
    ///
    /// The metadata is taken from `boot` first (owners `frameTable` and `zones`); it must be reachable through
    /// `directMap`. Every whole free page that is left goes to the zones, and `boot` must hand out none of it
    /// afterwards. Memory from 16 TiB less 4 MiB on is left alone.
    ///
    /// For one CPU, before others run. - Returns: nil, with `boot` as before, where there is too little memory.
    /// - Complexity: O(sections) plus O(frames) of those sections that are partly free.
    public init?(
        takingOver boot: inout BootAllocator, directMap: DirectMap, options: PageFrameOptions = PageFrameOptions()
    ) {
        self.init(takingOver: &boot, directMap: directMap, options: options, maximumRuns: .max)
    }

    /// - Parameter maximumRuns: the most runs of deferred sections that a zone can note down.
    init?(
        takingOver boot: inout BootAllocator, directMap: DirectMap, options: PageFrameOptions, maximumRuns: Int
    ) {
        guard let taken = MetadataMemory<P>(from: &boot, checks: options.checks, maximumRuns: maximumRuns) else {
            return nil
        }
        // The direct map covers what was taken just now.
        unsafe self.init(takingOver: &boot, taken, directMap: directMap, tableMap: directMap, options: options)
    }

    /// Takes over all memory that the boot allocator has not given away, with metadata that was taken from it before.
    ///
    /// - Parameters:
    ///   - boot: whose memory is taken over; it must hand out nothing any more.
    ///   - taken: from `boot`, with the same options, and used for nothing else.
    ///   - directMap: reaches all memory that is taken over.
    ///   - tableMap: leads from `taken.tableRange`, and from no other memory, to where these pages are mapped for good:
    ///     the frame table need not be reached through the direct map.
    ///   - options: how to work; those that `taken` was measured for.
    @unsafe
    @inline(never)
    public init(
        takingOver boot: inout BootAllocator, _ taken: borrowing MetadataMemory<P>, directMap: DirectMap,
        tableMap: DirectMap, options: PageFrameOptions
    ) {
        // The blocks have the sizes that the layouts want, and are mapped, by the caller's word.
        // What is left now. Each section has room in the metadata, which was measured before some were taken for it.
        let census = BringUpCensus(of: boot)
        let zonesMemory = unsafe directMap.pointer(to: taken.zones)
        let table = unsafe FrameTable(in: tableMap.pointer(to: taken.table), sectionCount: taken.sectionCount)
        let placed = unsafe taken.layout.place(
            in: zonesMemory, table: table, census: census,
            sectionMetadata: tableMap.pointer(to: taken.sections))
        unsafe self.init(
            directMap: directMap, table: table, zones: placed.zones, caches: placed.caches,
            shrinkers: taken.layout.placeShrinkers(in: zonesMemory),
            movers: taken.layout.placeMovers(in: zonesMemory), preferredZones: census.preferredZones,
            checks: CheckState(taken.checkTable.place(in: tableMap.pointer(to: taken.checks))),
            presentFrames: census.present, metadataByteCount: taken.byteCount)
        takeRanges(of: boot)
        contiguousArea = keepContiguousArea(byteCount: options.contiguousByteCount)
        setWatermarks(minimumFreeKiB: options.minimumFreeKiB)
        setFrameCaches(enabled: options.frameCaches)
        failAllocation(nth: options.failedRequest)
    }

    /// Computes every zone's marks from the size of all.
    @inline(never)
    private func setWatermarks(minimumFreeKiB: UInt?) {
        let managed: InlineArray<3, UInt> = [
            managedFrames(inZone: 0), managedFrames(inZone: 1), managedFrames(inZone: 2),
        ]
        let total = managed[0] + managed[1] + managed[2]
        let minimumFree = Watermarks.minimumFree(frames: total, requested: minimumFreeKiB)
        ZoneKind.forEach { kind in
            var marks = Watermarks(managed: managed[kind.rawValue], of: total, minimumFree: minimumFree)
            // Who asks for no reserve at all means this one, too.
            if minimumFreeKiB == 0 {
                marks = Watermarks()
            } else {
                marks.lowmemReserve = Watermarks.lowmemReserve(of: kind, managed: managed)
            }
            zones[kind.rawValue].value.withState { state in state.watermarks = marks }
        }
    }

    private func managedFrames(inZone zone: Int) -> UInt {
        zones[zone].value.withState { state in state.managedFrames }
    }

    /// Not within `init`: a closure there that captures `self` makes a `-Onone` build box it, on the Swift heap.
    @inline(never)
    private func takeRanges(of boot: borrowing BootAllocator) {
        boot.forEachFreeRange { range in handOver(range) }
        boot.forEachReserved { range, _ in markReserved(range) }
    }

    /// Gives the whole frames of a free range to their zones.
    private func handOver(_ range: PhysicalRange) {
        guard let whole = range.wholePages() else { return }
        let first = PageFrameNumber(containing: whole.start)
        let end = PageFrameNumber(containing: whole.end)
        for index in 0..<ZoneKind.count {
            zones[index].value.withState { state in
                let kind = zones[index].value.kind
                let low = max(first, kind.firstFrame)
                let high = min(end, kind.endFrame)
                if low < high { state.handOver(low.rawValue, high.rawValue) }
            }
        }
    }

    /// Says of the frames of a reserved range why they are not free, where their section has descriptors.
    private func markReserved(_ range: PhysicalRange) {
        guard let pages = range.enclosingPages() else { return }
        let end = min(PageFrameNumber(containing: pages.end).rawValue, table.sectionCount << Section.shift)
        var frame = PageFrameNumber(containing: pages.start).rawValue
        while frame < end {
            let sectionEnd = min((frame >> Section.shift + 1) << Section.shift, end)
            if table.isInitialized(section: frame >> Section.shift) {
                for index in frame..<sectionEnd {
                    let descriptor = unsafe table.knownDescriptor(of: UInt32(index))
                    // The table's own descriptor, and no other CPU runs.
                    if unsafe descriptor.pointee.state == .absent {
                        unsafe descriptor.pointee = FrameDescriptor(.reserved)
                    }
                }
            }
            frame = sectionEnd
        }
    }
}
