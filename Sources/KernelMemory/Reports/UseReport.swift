import BootMemory
import MemoryPrimitives
import PageFrames
import Paging
import Slab

extension KernelMemory {
    /// Writes what the frame behind an address is used for, as maps of memory have it: the line of the report `frames` that it
    /// stands in. Frames of stacks, of devices, of kmalloc's books and in frame caches are told apart so, which by their
    /// descriptors are handed out, or parts of nothing. Of an address that leads to no RAM nothing is written.
    ///
    ///     on the map: 0x1043-0x1046 4 stack order=0
    ///
    /// - Parameters:
    ///   - address: an address of the kernel's, or, below all regions, a physical one.
    ///   - scratch: memory to work in.
    ///   - writer: where it goes.
    /// - Complexity: O(blocks below the frame), and see `writeFrames`. Takes all locks in turn: not for callers that hold one.
    @inline(never)
    public func writeUse<Writer: ReportWriter>(
        of address: VirtualAddress, scratch: MapScratch, to writer: inout Writer
    ) {
        guard let physical = physicalAddress(meantBy: address), boot.value.isMemory(physical) else { return }
        let frame = PageFrameNumber(containing: physical)
        var walk = MemoryUseWalk(self, scratch)
        while let run = walk.next(), run.first <= frame {
            guard frame < run.end else { continue }
            writer.write("on the map: ")
            return writeLine(run, to: &writer)
        }
    }

    /// Where an address leads, or what it is itself, as `writeDescription` takes it; nil where that is nothing.
    private func physicalAddress(meantBy address: VirtualAddress) -> PhysicalAddress? {
        let region = AddressRegion(of: address, layout, pageTables.value.features)
        switch region {
        case .notCanonical: return nil
        case .userSpace where isPhysical(address.rawValue): return PhysicalAddress(address.rawValue)
        default: return region.physical ?? pageTables.value.translate(address)?.physical
        }
    }
}
