import BootMemory
import MemoryPrimitives

/// Fills the boot allocator: what is memory, and what of it is taken before anything is allocated.
enum BootReservations {
    /// The first MiB stays out of use: real-mode tables, the BIOS data areas, and holes that firmware forgets to report.
    static var lowMemory: PhysicalRange { PhysicalRange(.zero, PhysicalAddress(1 << 20)) }

    static func fill(
        _ boot: inout BootAllocator, from map: borrowing FirmwareMap, _ information: MultibootInformation,
        _ machine: MachineDescription
    ) throws(BringUpError) {
        // RAM beyond the direct map's end cannot be reached.
        let reachable = PhysicalRange(.zero, PhysicalAddress(machine.layout.directMap.byteCount))
        for index in 0..<map.count where map[index].kind == .available {
            guard let range = map[index].range.intersection(reachable) else { continue }
            if !boot.add(range) { throw .mapTooLarge }
        }
        boot.reserve(lowMemory, owner: .lowMemory)
        if let pages = machine.image.loaded.enclosingPages() { boot.reserve(pages, owner: .kernelImage) }
        // Whole pages: what is left of a page could not be handed out as a frame.
        information.forEachRange { range in
            if let pages = range.enclosingPages() { boot.reserve(pages, owner: .multiboot) }
        }
        // Those that are dropped have nothing to reserve; `droppedModuleCount` is there to be logged.
        _ = information.forEachModule { module in
            if let pages = module.range.enclosingPages() { boot.reserve(pages, owner: .module) }
        }
        if boot.hasLostReservation { throw .mapTooLarge }
    }
}
