import MemoryPrimitives
import Paging

/// The report `vmallocinfo`: each area as Linux's `/proc/vmallocinfo` has it, in the order of addresses.
///
///     0xffffc90000005000-0xffffc90000007000    8192 0xffffffff8010c2a3 phys=0x00000000fed00000 ioremap
///
/// Sizes include guard pages. An area that is being set up or freed is an `unpurged vm_area`.
public enum VmallocInfoReport {
    /// Writes a line for each area.
    /// - Complexity: O(areas + pages of stacks), with the areas' lock held and interrupts disabled. Any context but a fault's.
    public static func write<P: Platform, Writer: ReportWriter>(
        _ vmalloc: borrowing Vmalloc<P>, to writer: inout Writer
    ) {
        let tables = vmalloc.pageTables
        vmalloc.ranges.forEachArea { area in
            // The head of the list is empty, and no area.
            if area.range.isEmpty { return }
            // Of what a stack has grown by its area does not know.
            let pages = area.kind == .stack ? tables.value.presentPages(in: area.usable) : area.presentPages
            write(area, pages, tables.value.frame(at: area.usable.start), to: &writer)
        }
    }

    private static func write<Writer: ReportWriter>(
        _ area: Area, _ pages: UInt, _ first: PageFrameNumber?, to writer: inout Writer
    ) {
        writer.write("0x")
        writer.write(hex: area.range.start.rawValue, digits: 16)
        writer.write("-0x")
        writer.write(hex: area.range.end.rawValue, digits: 16)
        writer.write(" ")
        writer.write(decimal: area.range.byteCount, width: 7)
        if area.state != .live {
            writer.write(" unpurged vm_area")
            return writer.endLine()
        }
        writer.write(" ")
        if area.caller != 0 { writer.write(returnAddress: area.caller) } else { writer.write(area.name) }
        if pages > 0 {
            writer.write(" pages=")
            writer.write(decimal: pages)
        }
        if area.kind == .device, let first {
            writer.write(" phys=0x")
            writer.write(hex: first.address.rawValue, digits: 16)
        }
        switch area.kind {
        case .device: writer.write(" ioremap")
        case .map: writer.write(" vmap")
        case .vmalloc, .stack, .guardedObjects: writer.write(" vmalloc")
        }
        if area.kind.ownsFrames, pages > 0 {
            // There is one memory node.
            writer.write(" N0=")
            writer.write(decimal: pages)
        }
        writer.endLine()
    }
}
