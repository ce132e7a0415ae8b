import BootMemory
import MemoryPrimitives
import X86

/// Where the regions of this boot's address space lie: drawn, or where Linux documents them.
enum KernelLayout {
    nonisolated(unsafe) private static var chosen: LayoutDraw?

    /// The layout in force. During bring-up until `choose`, that of the boot tables.
    static var current: AddressSpaceLayout { unsafe chosen?.layout ?? .x86FourLevel }

    /// A part of the address space besides the image.
    enum Region {
        case directMap(PhysicalAddress)
        case objectAlias(PhysicalAddress)
        case areas
        case frameTable
        case userSpace
        case none
    }

    /// Where an address lies. Out of line: reports, which need it, run on what is left of a stack.
    @inline(never)
    static func region(of address: VirtualAddress) -> Region {
        let layout = current
        if layout.directMap.contains(address) {
            return .directMap(PhysicalAddress(address.distance(from: layout.directMap.start)))
        }
        if layout.objectAlias.contains(address) {
            return .objectAlias(PhysicalAddress(address.distance(from: layout.objectAlias.start)))
        }
        if layout.areas.contains(address) { return .areas }
        if layout.frameTable.contains(address) { return .frameTable }
        return address.rawValue >> 63 == 0 ? .userSpace : .none
    }

    /// Whether a number is so low that it can only be a physical address: below all that is mapped.
    @inline(never)
    static func isBelowEveryRegion(_ number: UInt) -> Bool { number < current.objectAlias.start.rawValue }

    /// Chooses the layout, and shows memory where it has the direct map, the boot tables' place for it apart.
    ///
    /// Once, when the memory map is known and nothing has been allocated.
    /// - Parameters:
    ///   - isDrawn: false where the command line says `nokaslr`.
    @inline(never)
    static func choose(isDrawn: Bool, map: borrowing FirmwareMap) {
        if isDrawn {
            if let draw = draw(for: map), BootTables.showMemory(at: draw.layout.directMap.start) {
                unsafe chosen = draw
                log(draw)
                if unsafe !RandomSource.isSecret {
                    Log.warning("address space: drawn without RDRAND, it is not secret")
                }
            } else {
                Log.warning("address space: no room to draw in; the regions lie where they are documented")
            }
        }
        publish()
        if unsafe chosen == nil { Log.info("address space, not drawn: \(bases: current)") }
    }

    @inline(never)
    private static func draw(for map: borrowing FirmwareMap) -> LayoutDraw? {
        var words = InlineArray<8, UInt64>(repeating: 0)
        for index in 0..<LayoutDraw.wordCount { words[index] = RandomSource.next() }
        return LayoutDraw(sizesOf: .x86FourLevel, endOfMemory: endOfMemory(map), words: words)
    }

    private static func endOfMemory(_ map: borrowing FirmwareMap) -> PhysicalAddress {
        var end = PhysicalAddress.zero
        for index in 0..<map.count where map[index].kind == .available { end = max(end, map[index].range.end) }
        return end
    }

    /// Writes the bases down where a debugger finds them by name, and this code without a choice to make. The words are
    /// read-only once bring-up is done.
    private static func publish() {
        let layout = current
        x86_store64(direct_map_base_address(), UInt64(layout.directMap.start.rawValue))
        x86_store64(vmalloc_base_address(), UInt64(layout.areas.start.rawValue))
        x86_store64(frame_table_base_address(), UInt64(layout.frameTable.start.rawValue))
        x86_store64(object_alias_base_address(), UInt64(layout.objectAlias.start.rawValue))
    }

    @inline(never)
    private static func log(_ draw: LayoutDraw) {
        Log.info("address space, drawn: \(bases: draw.layout)")
        Log.info(
            """
              bits that are random: direct map \(UInt(draw.directMapBits)), vmalloc \(UInt(draw.areasBits)), frame table \
            \(UInt(draw.frameTableBits)), object alias \(UInt(draw.objectAliasBits))
            """)
    }

    /// For reports of what went wrong: without the bases an address in them says little.
    @inline(never)
    static func logBases() {
        Log.fatal("address space: \(bases: current), image \(current.image.start)")
    }
}

extension LogMessage.Interpolation {
    /// The base of each region.
    mutating func appendInterpolation(bases layout: AddressSpaceLayout) {
        appendLiteral("direct map ")
        appendInterpolation(layout.directMap.start)
        appendLiteral(", vmalloc ")
        appendInterpolation(layout.areas.start)
        appendLiteral(", frame table ")
        appendInterpolation(layout.frameTable.start)
        appendLiteral(", object alias ")
        appendInterpolation(layout.objectAlias.start)
    }
}
