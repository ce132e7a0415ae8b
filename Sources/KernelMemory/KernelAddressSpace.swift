import BootMemory
import MemoryPrimitives
import Paging

/// Builds the kernel's own page tables, which replace those that the boot code made.
///
/// What is mapped:
/// - the direct map: all RAM, read and write, never executable, in the largest pages that fit; the image's code and
///   constants are read-only there too, so that no alias undoes the image's protection;
/// - the object alias: the first of the slots of 512 GiB that the direct map lies in again, by sharing its tables;
/// - the image: code r-x, constants r--, data rw-, with its guard pages left out.
///
/// Nothing else: no identity map, and nothing that the firmware calls reserved. The frame table follows once there is
/// memory for it (`FrameTableRegion`).
enum KernelAddressSpace<P: Platform> {
    /// - Throws: `outOfBootMemory` where there is no frame left for a table, `imageNotMappable` where the image's
    ///   description is inconsistent.
    static func build(
        _ machine: borrowing MachineDescription, from boot: UnsafeMutablePointer<BootAllocator>
    ) throws(BringUpError) -> PageTables<P> {
        // bringUp's own allocator, which outlives this call and which nobody else uses meanwhile.
        var source = unsafe BootTableSource(
            allocator: boot, directMap: machine.directMap, below: machine.reachableLimit)
        guard let root = source.allocateTableFrame() else { throw .outOfBootMemory }
        let tables = PageTables<P>(
            root: root, directMap: machine.directMap, features: machine.features, alias: topLevelAlias(machine))
        do throws(PagingError) {
            // Bring-up's allocator, as above.
            for index in 0..<(unsafe boot.pointee.memoryRangeCount) {
                try unsafe mapMemory(boot.pointee.memoryRange(at: index), machine, tables, &source)
            }
            try tables.shareTopLevelEntry(using: &source)
            try mapImage(machine.image, tables, &source)
        } catch {
            throw error == .outOfTables ? .outOfBootMemory : .imageNotMappable
        }
        return tables
    }

    /// The slots that the two regions begin in, both equally far from their slot's start.
    @inline(never)
    private static func topLevelAlias(_ machine: borrowing MachineDescription) -> TopLevelAlias {
        let slot: UInt = 512 << 30
        return TopLevelAlias(
            original: machine.layout.directMap.start.roundedDown(to: slot),
            alias: machine.layout.objectAlias.start.roundedDown(to: slot))
    }

    /// Maps a range of RAM in the direct map: what is the image's code and constants read-only, the rest writable.
    private static func mapMemory(
        _ range: PhysicalRange, _ machine: borrowing MachineDescription, _ tables: borrowing PageTables<P>,
        _ source: inout BootTableSource
    ) throws(PagingError) {
        let protected = PhysicalRange(machine.image.code.physical.start, machine.image.constants.physical.end)
        var start = range.start
        if let shared = range.intersection(protected) {
            try map(PhysicalRange(range.start, shared.start), .readWrite, machine, tables, &source)
            try map(shared, .readOnly, machine, tables, &source)
            start = shared.end
        }
        try map(PhysicalRange(start, range.end), .readWrite, machine, tables, &source)
    }

    private static func map(
        _ range: PhysicalRange, _ permissions: PagePermissions, _ machine: borrowing MachineDescription,
        _ tables: borrowing PageTables<P>, _ source: inout BootTableSource
    ) throws(PagingError) {
        // The boot allocator knows no memory beyond the direct map's end.
        let virtual = VirtualRange(
            machine.layout.directMap.start + range.start.rawValue, machine.layout.directMap.start + range.end.rawValue)
        try tables.mapRange(virtual, to: range.start, permissions: permissions, using: &source)
    }

    private static func mapImage(
        _ image: borrowing KernelImage, _ tables: borrowing PageTables<P>, _ source: inout BootTableSource
    ) throws(PagingError) {
        try map(image.code, tables, &source)
        try map(image.constants, tables, &source)
        try map(image.data, tables, &source)
        for index in 0..<8 {
            guard let page = image.guardPages[index] else { continue }
            try tables.unmap(page, splitting: true, using: &source)
        }
    }

    private static func map(
        _ segment: ImageSegment, _ tables: borrowing PageTables<P>, _ source: inout BootTableSource
    ) throws(PagingError) {
        let range = VirtualRange(segment.virtualStart, segment.virtualStart + segment.physical.byteCount)
        try tables.mapRange(range, to: segment.physical.start, permissions: segment.permissions, using: &source)
    }
}
