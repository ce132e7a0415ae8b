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
        guard let metadata = Self.takeMetadata(from: &boot, maximumRuns: maximumRuns) else { return nil }
        let layout = metadata.layout
        // Both blocks were just allocated with these sizes, and the direct map covers them.
        let table = unsafe FrameTable(
            in: directMap.pointer(to: metadata.table), sectionCount: metadata.census.endSection)
        let placed = unsafe layout.place(
            in: directMap.pointer(to: metadata.zones), table: table, census: metadata.census,
            sectionMetadata: directMap.pointer(to: metadata.sections))
        unsafe self.init(
            directMap: directMap, table: table, zones: placed.zones, caches: placed.caches,
            shrinkers: layout.placeShrinkers(in: directMap.pointer(to: metadata.zones)),
            movers: layout.placeMovers(in: directMap.pointer(to: metadata.zones)),
            preferredZones: metadata.census.preferredZones, metadataByteCount: metadata.byteCount)
        takeRanges(of: boot)
        contiguousArea = keepContiguousArea(byteCount: options.contiguousByteCount)
        setWatermarks(minimumFreeKiB: options.minimumFreeKiB)
        setFrameCaches(enabled: options.frameCaches)
    }

    /// Takes the memory for the zones and for the frame table out of what is free. A function of its own, and not inlined,
    /// so that what it needs takes no room in the frame of `init`.
    ///
    /// - Returns: nil, with `boot` as before, where there is too little memory.
    @inline(never)
    private static func takeMetadata(from boot: inout BootAllocator, maximumRuns: Int) -> BringUpMetadata<P>? {
        // A range more may be free after each of the allocations below, and each zone boundary cuts one in two.
        let before = BringUpCensus(of: boot)
        let layout = MetadataLayout<P>(
            runCapacity: min(before.rangeCount + 4, maximumRuns), endSection: before.endSection)
        guard let zonesAddress = boot.allocate(byteCount: layout.byteCount, alignment: 64, owner: .zones),
            let zonesRange = PhysicalRange(zonesAddress, byteCount: layout.byteCount)
        else { return nil }

        let census = BringUpCensus(of: boot)
        let sectionCount = census.endSection
        let entryBytes = FrameTable.byteCount(sectionCount: sectionCount).pageMultiple
        let tableBytes = entryBytes + (census.totalSections * Section.metadataByteCount).pageMultiple
        guard
            let tableAddress = boot.allocate(
                byteCount: tableBytes, alignment: PageSize.byteCount, owner: .frameTable)
        else {
            boot.free(zonesRange)
            return nil
        }
        guard BringUpCensus(of: boot).totalSections > 0 else {
            // There is room for the metadata and for nothing else.
            boot.free(PhysicalRange(tableAddress, tableAddress + tableBytes))
            boot.free(zonesRange)
            return nil
        }

        return BringUpMetadata(
            layout: layout, census: census, zones: zonesAddress, table: tableAddress,
            sections: tableAddress + entryBytes, byteCount: layout.byteCount + tableBytes)
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

/// What `init` takes from the boot allocator for itself.
private struct BringUpMetadata<P: Platform> {
    let layout: MetadataLayout<P>
    let census: BringUpCensus
    let zones: PhysicalAddress
    let table: PhysicalAddress
    /// Behind the table's entries, in the same block.
    let sections: PhysicalAddress
    let byteCount: UInt
}

extension UInt {
    /// The number rounded up to whole pages.
    fileprivate var pageMultiple: UInt { pageCount(forBytes: self) << PageSize.shift }
}
