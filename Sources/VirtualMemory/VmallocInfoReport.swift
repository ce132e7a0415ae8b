import MemoryPrimitives
import Paging

/// The report `vmallocinfo`: each area as Linux's `/proc/vmallocinfo` has it, in the order of addresses.
///
///     0xffffc90000005000-0xffffc90000007000    8192 handler+0x1b6/0x1d0 phys=0x00000000fed00000 ioremap
///     0xffffc90000007000-0xffffc9000000b000   16384 buffer pages=3 vmalloc N0=3
///
/// Sizes include guard pages. In place of the caller stands the area's name where no caller is known; spaces in it are
/// underscores. An area that is being set up or freed, or waits for a purge, is an `unpurged vm_area`, and stands behind the
/// others, as in Linux.
/// `pages=` counts the pages that are there.
public enum VmallocInfoReport {
    /// Writes a line for each area.
    /// - Complexity: O(areas + pages of stacks), with the areas' lock held and interrupts disabled. Any context but a fault's.
    public static func write<P: Platform, Writer: ReportWriter>(
        _ vmalloc: borrowing Vmalloc<P>, to writer: inout Writer
    ) {
        writeAreas(vmalloc, areLive: true, to: &writer)
        writeAreas(vmalloc, areLive: false, to: &writer)
    }

    @inline(never)
    private static func writeAreas<P: Platform, Writer: ReportWriter>(
        _ vmalloc: borrowing Vmalloc<P>, areLive: Bool, to writer: inout Writer
    ) {
        let tables = vmalloc.pageTables
        vmalloc.ranges.forEachArea(includesRetired: true) { area in
            // The head of the list is empty, and no area.
            if area.range.isEmpty || (area.state == .live) != areLive { return }
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
        if area.caller != 0 { writer.write(symbolOf: area.caller) } else { writer.write(withoutSpaces: area.name) }
        // The frames of the others are not the area's: Linux counts none there.
        if area.kind.ownsFrames, pages > 0 {
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

extension ReportWriter {
    /// Writes a name in a line whose columns are told apart by spaces.
    fileprivate mutating func write(withoutSpaces name: StaticString) {
        for index in 0..<name.utf8CodeUnitCount {
            // Below its count; a StaticString's bytes live as long as the image.
            let byte = unsafe name.utf8Start[index]
            write(byte == UInt8(ascii: " ") ? UInt8(ascii: "_") : byte)
        }
    }
}
