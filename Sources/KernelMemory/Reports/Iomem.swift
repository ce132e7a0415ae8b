import BootMemory
import MemoryPrimitives

extension KernelMemory {
    /// Writes what each range of physical addresses is, as Linux's `/proc/iomem` does: the firmware's map as it is used,
    /// and within RAM who owns what never reached the page frames.
    ///
    /// From any context: what it reads does not change after bring-up.
    /// - Complexity: O(m r) for m ranges of the map and r reservations.
    public func writeIomem<Writer: ReportWriter>(to writer: inout Writer) {
        Iomem.write(firmwareMap.value, boot.value, image.value, to: &writer)
    }
}

/// The report `iomem`: `00100000-1ffdffff : System RAM`, the last byte being part of the range. Digits are at least
/// eight; ranges within a range follow it, indented by two spaces.
enum Iomem {
    static func write<Writer: ReportWriter>(
        _ map: borrowing FirmwareMap, _ boot: borrowing BootAllocator, _ image: KernelImage, to writer: inout Writer
    ) {
        for index in 0..<map.count {
            let region = map[index]
            writeLine(region.range, region.kind.resourceName, isNested: false, to: &writer)
            if region.kind != .available { continue }
            boot.forEachReserved { range, owner in
                guard let part = range.intersection(region.range) else { return }
                if owner == .kernelImage {
                    writeImage(part, image, to: &writer)
                } else {
                    writeLine(part, owner.name, isNested: true, to: &writer)
                }
            }
        }
    }

    /// Writes the parts of the image that lie in `range`, and what is left of it between them.
    private static func writeImage<Writer: ReportWriter>(
        _ range: PhysicalRange, _ image: KernelImage, to writer: inout Writer
    ) {
        var rest = range
        writePart(image.code.physical, "Kernel code", of: &rest, to: &writer)
        writePart(image.constants.physical, "Kernel rodata", of: &rest, to: &writer)
        writePart(PhysicalRange(image.data.physical.start, image.bss.start), "Kernel data", of: &rest, to: &writer)
        writePart(image.bss, "Kernel bss", of: &rest, to: &writer)
        if !rest.isEmpty { writeLine(rest, RegionOwner.kernelImage.name, isNested: true, to: &writer) }
    }

    /// Writes what of `part` lies in `rest`, behind what lies in front of it, and takes both away from `rest`.
    private static func writePart<Writer: ReportWriter>(
        _ part: PhysicalRange, _ name: StaticString, of rest: inout PhysicalRange, to writer: inout Writer
    ) {
        guard let shared = part.intersection(rest) else { return }
        let before = PhysicalRange(rest.start, shared.start)
        if !before.isEmpty { writeLine(before, RegionOwner.kernelImage.name, isNested: true, to: &writer) }
        writeLine(shared, name, isNested: true, to: &writer)
        rest.start = shared.end
    }

    /// - Parameter range: not empty.
    private static func writeLine<Writer: ReportWriter>(
        _ range: PhysicalRange, _ name: StaticString, isNested: Bool, to writer: inout Writer
    ) {
        if isNested { writer.write("  ") }
        writer.write(hex: range.start.rawValue, digits: 8)
        writer.write("-")
        writer.write(hex: range.end.rawValue - 1, digits: 8)
        writer.write(" : ")
        writer.write(name)
        writer.endLine()
    }
}

extension MemoryKind {
    /// The kind as Linux calls it in `/proc/iomem`.
    var resourceName: StaticString {
        switch self {
        case .available: "System RAM"
        case .reserved: "Reserved"
        case .acpiReclaimable: "ACPI Tables"
        case .acpiNVS: "ACPI Non-volatile Storage"
        case .bad: "Unusable memory"
        case .persistent: "Persistent Memory"
        case .persistentLegacy: "Persistent Memory (legacy)"
        case .other: "Unknown E820 type"
        }
    }
}
