import BootMemory
import MemoryPrimitives

/// The memory that a page frame allocator takes for itself at bring-up: where its parts lie, and what they are for.
public struct MetadataMemory<P: Platform> {
    /// The zones, frame caches and shrinkers.
    let layout: MetadataLayout<P>
    let zones: PhysicalAddress

    /// The sections of the frame table.
    let sectionCount: UInt

    /// The frame table, behind it the sections' metadata, and behind that what checks note down: one block.
    let table: PhysicalAddress
    let sections: PhysicalAddress
    let checkTable: CheckTableLayout
    let checks: PhysicalAddress

    /// The bytes of all parts.
    let byteCount: UInt

    /// What the frame table lies in, in whole pages: where these are mapped is for bring-up to choose.
    public let tableRange: PhysicalRange

    /// Takes the memory, for an allocator with these options. - Returns: nil, with `boot` as before, where there is too
    /// little of it, or nothing would be left. - Complexity: O(ranges).
    public init?(from boot: inout BootAllocator, options: PageFrameOptions = PageFrameOptions()) {
        self.init(from: &boot, checks: options.checks, maximumRuns: .max)
    }

    /// Takes the memory. - Returns: nil, with `boot` as before, where there is too little of it, or nothing would be left.
    /// - Complexity: O(ranges).
    @inline(never)
    init?(from boot: inout BootAllocator, checks chosen: FrameChecks, maximumRuns: Int) {
        layout = Self.layout(for: boot, maximumRuns)
        let zonesBytes = layout.byteCount
        guard let zones = Self.take(zonesBytes, alignment: 64, owner: .zones, from: &boot) else { return nil }
        self.zones = zones

        let found = Self.sections(of: boot)
        sectionCount = found.end
        let sectionsOffset = FrameTable.byteCount(sectionCount: found.end).pageMultiple
        let checksOffset = sectionsOffset + (found.count * Section.metadataByteCount).pageMultiple
        checkTable = CheckTableLayout(chosen, sectionCount: found.end, capacity: found.count)
        let tableBytes = checksOffset + checkTable.byteCount
        guard let table = Self.take(tableBytes, alignment: PageSize.byteCount, owner: .frameTable, from: &boot) else {
            Self.giveBack(zones, zonesBytes, to: &boot)
            return nil
        }
        self.table = table
        sections = table + sectionsOffset
        checks = table + checksOffset
        byteCount = zonesBytes + tableBytes
        tableRange = PhysicalRange(table, table + tableBytes)
        guard Self.sections(of: boot).count > 0 else {
            // There is room for the metadata and for nothing else.
            Self.giveBack(table, tableBytes, to: &boot)
            Self.giveBack(zones, zonesBytes, to: &boot)
            return nil
        }
    }

    // Out of line, so that the figures take no room in init's own frame.

    @inline(never)
    private static func layout(for boot: borrowing BootAllocator, _ maximumRuns: Int) -> MetadataLayout<P> {
        // A range more may be free after each of the allocations, and each zone boundary cuts one in two.
        let census = BringUpCensus(of: boot)
        return MetadataLayout(runCapacity: min(census.rangeCount + 4, maximumRuns), endSection: census.endSection)
    }

    /// The sections that have free pages, and the end of the last one.
    @inline(never)
    private static func sections(of boot: borrowing BootAllocator) -> (count: UInt, end: UInt) {
        let census = BringUpCensus(of: boot)
        return (census.totalSections, census.endSection)
    }

    @inline(never)
    private static func take(
        _ byteCount: UInt, alignment: UInt, owner: RegionOwner, from boot: inout BootAllocator
    ) -> PhysicalAddress? {
        boot.allocate(byteCount: byteCount, alignment: alignment, owner: owner)
    }

    @inline(never)
    private static func giveBack(_ address: PhysicalAddress, _ byteCount: UInt, to boot: inout BootAllocator) {
        boot.free(PhysicalRange(address, address + byteCount))
    }
}

extension UInt {
    /// The number rounded up to whole pages.
    var pageMultiple: UInt { pageCount(forBytes: self) << PageSize.shift }
}
