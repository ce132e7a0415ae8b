import BootMemory
import MemoryPrimitives
import Paging

/// Maps the frame table in the region that the layout has for it, so that its base is as free as the direct map's.
///
/// The memory is in the direct map too, as all RAM is. Nothing uses it there: who learns where a descriptor is does not
/// learn where the direct map is.
enum FrameTableRegion<P: Platform> {
    /// - Parameters:
    ///   - table: the frame table's memory, in whole pages.
    ///   - boot: the boot allocator, which nobody else uses during the call.
    /// - Returns: what leads from the table's physical addresses to where this code reaches them.
    /// - Throws: `outOfBootMemory` where there is no frame left for a table, or the region is too small.
    @inline(never)
    static func map(
        _ table: PhysicalRange, _ machine: borrowing MachineDescription, _ tables: Permanent<PageTables<P>>,
        from boot: UnsafeMutablePointer<BootAllocator>
    ) throws(BringUpError) -> DirectMap {
        let region = machine.layout.frameTable
        // As far into a 1 GiB page as in memory: what fits into a large page there is one page here.
        let start = region.start + (table.start.rawValue & (PageSize.size1GiB.byteCount - 1))
        guard let virtual = VirtualRange(start, byteCount: table.byteCount), region.contains(virtual) else {
            throw .outOfBootMemory
        }
        // Bring-up's own allocator. All memory is mapped by now.
        var source = unsafe BootTableSource(
            allocator: boot, directMap: machine.directMap, below: PhysicalAddress(machine.layout.directMap.byteCount))
        do throws(PagingError) {
            try tables.value.mapRange(virtual, to: table.start, permissions: .readWrite, using: &source)
        } catch {
            throw .outOfBootMemory
        }
        // On the host this code does not run through the tables that it makes: memory is reached as before.
        if machine.directMap.base != machine.layout.directMap.start.rawValue { return machine.directMap }
        return DirectMap(base: virtual.start.rawValue &- table.start.rawValue)
    }
}
