import MemoryPrimitives
import VirtualMemory

extension KernelMemory {
    /// Writes the report `areas`: where the regions of the address space lie, and every area of vmalloc's with its pages (see
    /// `AreaMapReport`).
    ///
    ///     region 0xffff888000000000-0xffffc88000000000 direct map
    ///
    /// - Complexity: O(areas + pages), with the areas' lock held and interrupts disabled. Any context but a fault's.
    @inline(never)
    public func writeAreas<Writer: ReportWriter>(to writer: inout Writer) {
        Self.writeRegion("object alias", layout.objectAlias, to: &writer)
        Self.writeRegion("direct map", layout.directMap, to: &writer)
        Self.writeRegion("vmalloc", layout.areas, to: &writer)
        Self.writeRegion("frame table", layout.frameTable, to: &writer)
        Self.writeRegion("kernel image", layout.image, to: &writer)
        AreaMapReport.write(vmalloc.value, to: &writer)
    }

    @inline(never)
    private static func writeRegion<Writer: ReportWriter>(
        _ name: StaticString, _ range: VirtualRange, to writer: inout Writer
    ) {
        writer.write("region 0x")
        writer.write(hex: range.start.rawValue, digits: 16)
        writer.write("-0x")
        writer.write(hex: range.end.rawValue, digits: 16)
        writer.write(" ")
        writer.write(name)
        writer.endLine()
    }
}
