import MemoryPrimitives
import PageFrames

/// Lists of buffers that a device gets together.
extension DMAMapper {
    /// Gives all buffers of a list to a device, or none.
    /// - Parameters:
    ///   - device: who gets the buffers.
    ///   - list: not empty; each entry's `bus` is set. Entries stay one each: there is no IOMMU to join them.
    ///   - direction: who writes; `unmapList` is told the same.
    /// - Throws: what `map` does, of the first entry that cannot be mapped; those before it are the CPU's again, with
    ///   contents as they were.
    /// - Complexity: O(entries), each as `map`. Any context.
    public func mapList(
        _ device: DMADevice<P>, _ list: UnsafeMutableBufferPointer<ScatterEntry>, _ direction: DMADirection
    ) throws(DMAError) {
        if list.isEmpty { throw .emptyBuffer }
        for index in 0..<list.count {
            do throws(DMAError) {
                // Within the caller's list.
                let entry = unsafe list[index]
                unsafe list[index].bus = try mapEntry(device, entry, direction)
            } catch {
                unsafe unmapEntries(device, UnsafeMutableBufferPointer(rebasing: list[0..<index]), direction, false)
                throw error
            }
        }
    }

    /// Takes all buffers of a list back. - Parameter list: all that was mapped.
    /// - Complexity: as `mapList`. Any context.
    public func unmapList(
        _ device: DMADevice<P>, _ list: UnsafeMutableBufferPointer<ScatterEntry>, _ direction: DMADirection
    ) {
        if device.path != .direct { unsafe unmapEntries(device, list, direction, true) }
    }

    /// `syncForCPU` of each entry.
    public func syncListForCPU(
        _ device: DMADevice<P>, _ list: UnsafeMutableBufferPointer<ScatterEntry>, _ direction: DMADirection
    ) {
        for index in 0..<list.count {
            // Within the caller's list.
            let entry = unsafe list[index]
            syncForCPU(device, entry.bus, byteCount: entry.byteCount, direction)
        }
    }

    /// `syncForDevice` of each entry.
    public func syncListForDevice(
        _ device: DMADevice<P>, _ list: UnsafeMutableBufferPointer<ScatterEntry>, _ direction: DMADirection
    ) {
        for index in 0..<list.count {
            // Within the caller's list.
            let entry = unsafe list[index]
            syncForDevice(device, entry.bus, byteCount: entry.byteCount, direction)
        }
    }

    private func mapEntry(
        _ device: DMADevice<P>, _ entry: ScatterEntry, _ direction: DMADirection
    ) throws(DMAError) -> BusAddress {
        let first = frames.value.directMap.physicalAddress(of: entry.address).rawValue
        let (last, overflow) = first.addingReportingOverflow(entry.byteCount &- 1)
        if !overflow && last <= device.quickLimit { return BusAddress(first) }
        return try mapSlowly(device, first, entry.byteCount, direction, .list)
    }

    private func unmapEntries(
        _ device: DMADevice<P>, _ list: UnsafeMutableBufferPointer<ScatterEntry>, _ direction: DMADirection,
        _ isCopied: Bool
    ) {
        for index in 0..<list.count {
            // Within the caller's list.
            let entry = unsafe list[index]
            unmapSlowly(device, entry.bus, entry.byteCount, direction, .list, isCopied: isCopied)
        }
    }
}
