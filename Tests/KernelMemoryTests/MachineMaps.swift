import BootMemory
import MemoryPrimitives
import SimulatedMachine
import Testing

typealias MapEntry = SimulatedMapEntry

extension SimulatedMapEntry {
    /// An entry whose last byte is part of it.
    static func through(_ base: UInt64, _ last: UInt64, _ type: UInt32 = 1) -> MapEntry {
        MapEntry(base: base, byteCount: last - base + 1, type: type)
    }
}

/// A machine's memory by the name that tests are told apart with.
struct MachineMap: Sendable, CustomTestStringConvertible {
    var name: String
    var entries: [MapEntry]

    var testDescription: String { name }

    private static let pcLowMemory: [MapEntry] = [
        .through(0, 0x9_fbff), .through(0x9_fc00, 0x9_ffff, 2), .through(0xf_0000, 0xf_ffff, 2),
    ]

    /// A virtual machine whose RAM ends below the hole for devices.
    static func pc(bytes: UInt64) -> MachineMap {
        MachineMap(
            name: "\(bytes >> 10) KiB",
            entries: pcLowMemory + [
                .through(0x10_0000, bytes - 0x2_0001), .through(bytes - 0x2_0000, bytes - 1, 2),
                .through(0xfffc_0000, 0xffff_ffff, 2),
            ])
    }

    /// A virtual machine with 3 GiB below the hole for devices and the rest above 4 GiB.
    static func large(gibibytes: UInt64) -> MachineMap {
        MachineMap(
            name: "\(gibibytes) GiB",
            entries: pcLowMemory + [
                .through(0x10_0000, 0xbffd_ffff), .through(0xbffe_0000, 0xbfff_ffff, 2),
                .through(0xfffc_0000, 0xffff_ffff, 2), .through(1 << 32, (gibibytes + 1) << 30 - 1),
                .through(0xfd_0000_0000, 0xff_ffff_ffff, 2),
            ])
    }

    /// A notebook: ACPI tables and non-volatile storage between pieces of RAM, and low memory in pieces.
    static let notebook = MachineMap(
        name: "notebook",
        entries: [
            .through(0, 0x5_7fff), .through(0x5_8000, 0x5_8fff, 2), .through(0x5_9000, 0x9_dfff),
            .through(0x9_e000, 0xf_ffff, 2), .through(0x10_0000, 0xb6dc_dfff), .through(0xb6dc_e000, 0xb6dc_efff, 4),
            .through(0xb6dc_f000, 0xb6dc_ffff, 2), .through(0xb6dd_0000, 0xc5c3_afff),
            .through(0xc5c3_b000, 0xc608_0fff, 2), .through(0xc608_1000, 0xc60f_dfff, 3),
            .through(0xc60f_e000, 0xc6b1_efff, 4), .through(0xc6b1_f000, 0xc73f_efff, 2),
            .through(0xc73f_f000, 0xc73f_ffff), .through(0xc740_0000, 0xc7ff_ffff, 2),
            .through(0xe000_0000, 0xefff_ffff, 2), .through(0xfec0_0000, 0xfec0_0fff, 2),
            .through(0xff00_0000, 0xffff_ffff, 2), .through(0x1_0000_0000, 0x2_35ff_ffff),
        ])

    /// Many ranges that end at any byte, out of order, some of which overlap or touch; more than the lists start with.
    static let oddEnds: MachineMap = {
        var entries = pcLowMemory + [.through(0x10_0000, 0xff_ffff)]
        for index in (0..<90 as Range<UInt64>).reversed() {
            let base = 0x100_0000 + index * 0x15_3000 + (index % 7) * 0x123
            entries.append(MapEntry(base: base, byteCount: 0xe_1777 + (index % 3) * 0x7_0000, type: 1))
            if index % 5 == 0 { entries.append(MapEntry(base: base + 0x3_0456, byteCount: 0x1001, type: 2)) }
            if index % 11 == 0 { entries.append(MapEntry(base: base + 0x5_0000, byteCount: 0x100, type: 3)) }
        }
        return MachineMap(name: "odd ends", entries: entries)
    }()
}

/// What of a map is RAM that may be used: whole pages, ascending, and no two ranges touch.
///
/// Worked out byte range by byte range from all entries at once, unlike `FirmwareMap`.
func usableMemory(_ map: MachineMap) -> [Range<UInt>] {
    let entries = map.entries.map { (UInt($0.base)..<UInt($0.base + $0.byteCount), $0.type) }
    let cuts = Set(entries.flatMap { [$0.0.lowerBound, $0.0.upperBound] }).sorted()
    var found: [Range<UInt>] = []
    for (start, end) in zip(cuts, cuts.dropFirst()) {
        let types = entries.filter { $0.0.contains(start) }.map(\.1)
        if types.isEmpty || types.contains(where: { $0 != 1 }) { continue }
        if let last = found.last, last.upperBound == start {
            found[found.count - 1] = last.lowerBound..<end
        } else {
            found.append(start..<end)
        }
    }
    return found.compactMap { range in
        let low = (range.lowerBound + 4095) / 4096 * 4096
        let high = range.upperBound / 4096 * 4096
        return low < high ? low..<high : nil
    }
}
