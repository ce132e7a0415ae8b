import MemoryPrimitives
import Paging

extension Vmalloc {
    /// Writes where an address lies among the areas: in which, how far from its start, or what was there.
    ///
    ///     in the vmalloc area "buffer" 0xffffc90000001000-0xffffc90000005000, at offset 4660 of 16384
    ///     of caller init+0x26/0x70
    ///
    /// Waits for no lock.
    /// - Returns: false, with nothing written, for an address outside the areas' space.
    /// - Complexity: O(log areas), of a stack O(its pages).
    @inline(never)
    @discardableResult
    public func writeArea(around address: VirtualAddress, to writer: inout some ReportWriter) -> Bool {
        let found = ranges.describe(address)
        switch found.place {
        case .usable: writer.write("in the ")
        case .guardBelow: writer.write("in the guard page below the ")
        case .guardAbove: writer.write("in the guard page above the ")
        case .freed: writer.write("freed: it was in the ")
        case .belowArea: writer.write("in no area; the nearest is above it: the ")
        case .aboveArea: writer.write("in no area; the nearest is below it: the ")
        case .noAreas:
            writer.write("in no area; there are none")
            writer.endLine()
        case .outsideSpace: return false
        }
        guard let area = found.area else { return true }
        writer.write(area.kind.name)
        writer.write(" area \"")
        writer.write(area.name)
        writer.write("\" 0x")
        writer.write(hex: area.usable.start.rawValue, digits: 16)
        writer.write("-0x")
        writer.write(hex: area.usable.end.rawValue, digits: 16)
        writeDistance(of: address, in: area, found, to: &writer)
        if area.caller != 0 {
            writer.write("of caller ")
            writer.write(symbolOf: area.caller)
            writer.endLine()
        }
        if area.kind == .stack, area.usable.contains(address) { writeDepth(of: address, in: area, to: &writer) }
        return true
    }

    @inline(never)
    private func writeDistance(
        of address: VirtualAddress, in area: Area, _ found: AddressDescription, to writer: inout some ReportWriter
    ) {
        if area.usable.contains(address) {
            writer.write(", at offset ")
            writer.write(decimal: address.distance(from: area.usable.start))
            writer.write(" of ")
            writer.write(decimal: area.usable.byteCount)
        } else if found.distance > 0 {
            writer.write(", ")
            writer.write(decimal: found.distance)
            writer.write(" bytes away")
        }
        writer.endLine()
    }

    @inline(never)
    private func writeDepth(of address: VirtualAddress, in area: Area, to writer: inout some ReportWriter) {
        writer.write("stack \"")
        writer.write(area.name)
        writer.write("\": ")
        writer.write(decimal: area.usable.end.distance(from: address))
        writer.write(" bytes below its top; ")
        writer.write(decimal: pageTables.value.presentPages(in: area.usable) << PageSize.shift)
        writer.write(" of ")
        writer.write(decimal: area.usable.byteCount)
        writer.write(" bytes are there")
        writer.endLine()
    }
}

extension GuardedPool {
    /// Writes which guarded object an address of the pool's pages belongs to, who allocated it, and who freed it.
    ///
    /// - Returns: false, with nothing written, for an address outside the pool, and for its guard pages.
    /// - Complexity: O(1). Takes no lock.
    @inline(never)
    @discardableResult
    public func writeObject(around address: VirtualAddress, to writer: inout some ReportWriter) -> Bool {
        guard let index = slot(at: address.rawValue) else { return false }
        if self[index].state == .unused {
            writer.write("a page for guarded objects that none has had yet")
            writer.endLine()
        } else {
            writeObject(index, to: &writer)
        }
        return true
    }
}
