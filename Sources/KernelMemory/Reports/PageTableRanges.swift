import MemoryPrimitives
import Paging

extension KernelMemory {
    /// Writes what the page tables allow where, as Linux's ptdump does (`/sys/kernel/debug/page_tables/kernel`): a line for
    /// each run of neighbouring entries of one level that allow the same, and a heading where a region begins.
    ///
    /// - Parameter address: only the run that this address lies in is written, below its region's heading; or, where nothing
    ///   is mapped there, how far nothing is. Nil for everything.
    /// - Complexity: O(entries). The tables are locked, and interrupts disabled, from one run to the next; not for callers that
    ///   hold the tables' lock.
    @inline(never)
    public func writePageTables<Writer: ReportWriter>(
        around address: VirtualAddress? = nil, to writer: inout Writer
    ) {
        if let address, !pageTables.value.features.isCanonical(address.rawValue) {
            writer.write("0x")
            writer.write(hex: address.rawValue, digits: 16)
            writer.write(": not a canonical address")
            return writer.endLine()
        }
        let regions = RegionList(layout, pageTables.value.features)
        for index in 0..<regions.count {
            let region = regions[index]
            if let address {
                if region.contains(address) { writeRun(around: address, in: region, to: &writer) }
            } else {
                writeRuns(of: region, to: &writer)
            }
        }
    }

    @inline(never)
    private func writeRuns<Writer: ReportWriter>(of region: NamedRegion, to writer: inout Writer) {
        region.writeHeading(to: &writer)
        var start = region.first
        while let run = pageTables.value.equalRun(from: start, through: region.last) {
            writer.write(run, hasFiveLevels: pageTables.value.levels == 5)
            if run.last >= region.last { return }
            start = run.last + 1
        }
    }

    @inline(never)
    private func writeRun<Writer: ReportWriter>(
        around address: VirtualAddress, in region: NamedRegion, to writer: inout Writer
    ) {
        region.writeHeading(to: &writer)
        var start = region.first
        while let run = pageTables.value.equalRun(from: start, through: region.last) {
            if address < run.first {
                return writeHole(start, VirtualAddress(run.first.rawValue &- 1), to: &writer)
            }
            if address <= run.last { return writer.write(run, hasFiveLevels: pageTables.value.levels == 5) }
            if run.last >= region.last { return }
            start = run.last + 1
        }
        writeHole(start, region.last, to: &writer)
    }

    @inline(never)
    private func writeHole<Writer: ReportWriter>(
        _ first: VirtualAddress, _ last: VirtualAddress, to writer: inout Writer
    ) {
        writer.write("0x")
        writer.write(hex: first.rawValue, digits: 16)
        writer.write("-0x")
        writer.write(hex: last.rawValue &+ 1, digits: 16)
        writer.write("   ")
        writer.write(roundedSize: last.rawValue &- first.rawValue &+ 1)
        writer.write("nothing is mapped")
        writer.endLine()
    }
}

/// A part of the address space with a name, which reaches to where the next one begins.
struct NamedRegion {
    var name: StaticString
    var first: VirtualAddress
    /// The last byte: the last region ends where the address space does.
    var last = VirtualAddress(0)

    func contains(_ address: VirtualAddress) -> Bool { first <= address && address <= last }

    @inline(never)
    func writeHeading<Writer: ReportWriter>(to writer: inout Writer) {
        writer.write("---[ ")
        writer.write(name)
        writer.write(" ]---")
        writer.endLine()
    }
}

/// The regions in the order of their addresses, which chance may have chosen.
struct RegionList {
    private var regions = InlineArray<7, NamedRegion>(repeating: NamedRegion(name: "", first: VirtualAddress(0)))
    private(set) var count = 0

    @inline(never)
    init(_ layout: AddressSpaceLayout, _ features: PagingFeatures) {
        let lowerLast = VirtualAddress(UInt.max >> (features.isCanonical(1 << 47) ? 8 : 17))
        insert("User Space", VirtualAddress(0))
        insert("Object Alias", layout.objectAlias.start)
        insert("Kernel Space", VirtualAddress(~lowerLast.rawValue))
        insert("Direct Map", layout.directMap.start)
        insert("vmalloc() Area", layout.areas.start)
        insert("Frame Table", layout.frameTable.start)
        insert("Kernel Image", layout.image.start)
        for index in 0..<count {
            regions[index].last =
                index + 1 < count ? VirtualAddress(regions[index + 1].first.rawValue &- 1) : VirtualAddress(.max)
            // Between the halves there are no addresses.
            if regions[index].first <= lowerLast { regions[index].last = min(regions[index].last, lowerLast) }
        }
    }

    private mutating func insert(_ name: StaticString, _ first: VirtualAddress) {
        var index = count
        while index > 0, first < regions[index - 1].first {
            regions[index] = regions[index - 1]
            index -= 1
        }
        regions[index] = NamedRegion(name: name, first: first)
        count += 1
    }

    subscript(index: Int) -> NamedRegion { regions[index] }
}
