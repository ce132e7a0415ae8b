import BootMemory
import MemoryPrimitives
import Testing

private func region(_ start: UInt, _ end: UInt, _ kind: MemoryKind) -> FirmwareRegion {
    FirmwareRegion(range(start, end), kind)
}

/// The firmware's map of a machine, and what must become of it.
struct RealMachine: Sendable, CustomTestStringConvertible {
    var name: String
    /// Address bits of its CPU.
    var bits: Int
    var entries: [MapEntry]
    /// Nil where the map is in order: it is then taken as it stands.
    var regions: [FirmwareRegion]?
    var testDescription: String { name }
}

/// Maps as machines report them, input and output. Whatever the order and however often an entry is told, the result is
/// the same.
///
/// The first five are from boot logs; where a log has only part of a map, the rest is that of a machine of its kind. The
/// last two are made up of the oddities of several.
@Suite struct RealMachineTableTests {
    static let machines: [RealMachine] = [
        RealMachine(
            name: "desktop of 2006 with 1 GiB", bits: 40,
            entries: [
                .through(0, 0x9_f3ff, .available), .through(0x9_f400, 0x9_ffff, .reserved),
                .through(0xf_0000, 0xf_ffff, .reserved), .through(0x10_0000, 0x3ffe_ffff, .available),
                .through(0x3fff_0000, 0x3fff_2fff, .acpiNVS), .through(0x3fff_3000, 0x3fff_ffff, .acpiReclaimable),
                .through(0xe000_0000, 0xefff_ffff, .reserved), .through(0xfec0_0000, 0xffff_ffff, .reserved),
            ],
            regions: [
                // Align: the extended BIOS data area begins within a page.
                region(0, 0x9_f000, .available), region(0x9_f400, 0xa_0000, .reserved),
                region(0xf_0000, 0x10_0000, .reserved), region(0x10_0000, 0x3fff_0000, .available),
                region(0x3fff_0000, 0x3fff_3000, .acpiNVS), region(0x3fff_3000, 0x4000_0000, .acpiReclaimable),
                region(0xe000_0000, 0xf000_0000, .reserved), region(0xfec0_0000, 0x1_0000_0000, .reserved),
            ]),
        RealMachine(
            name: "notebook of 2012 with 8 GiB", bits: 36,
            entries: [
                .through(0, 0x9_d7ff, .available), .through(0x9_d800, 0x9_ffff, .reserved),
                .through(0xe_0000, 0xf_ffff, .reserved), .through(0x10_0000, 0x1fff_ffff, .available),
                .through(0x2000_0000, 0x201f_ffff, .reserved), .through(0x2020_0000, 0x4000_3fff, .available),
                .through(0x4000_4000, 0x4000_4fff, .reserved), .through(0x4000_5000, 0xbaab_efff, .available),
                .through(0xbaab_f000, 0xbaeb_efff, .reserved), .through(0xbaeb_f000, 0xbafb_efff, .acpiNVS),
                .through(0xbafb_f000, 0xbaff_efff, .acpiReclaimable), .through(0xbaff_f000, 0xbaff_ffff, .available),
                .through(0xbb00_0000, 0xbf9f_ffff, .reserved), .through(0xf000_0000, 0xf3ff_ffff, .reserved),
                .through(0xfeb0_0000, 0xfeb0_3fff, .reserved), .through(0xfec0_0000, 0xfec0_0fff, .reserved),
                .through(0xfed1_0000, 0xfed1_9fff, .reserved), .through(0xfed1_c000, 0xfed1_ffff, .reserved),
                .through(0xfee0_0000, 0xfee0_0fff, .reserved), .through(0xffb8_0000, 0xffff_ffff, .reserved),
                .through(0x1_0000_0000, 0x2_3f5f_ffff, .available),
            ],
            regions: [
                region(0, 0x9_d000, .available), region(0x9_d800, 0xa_0000, .reserved),
                region(0xe_0000, 0x10_0000, .reserved), region(0x10_0000, 0x2000_0000, .available),
                // What the graphics unit's errata want left alone.
                region(0x2000_0000, 0x2020_0000, .reserved), region(0x2020_0000, 0x4000_4000, .available),
                region(0x4000_4000, 0x4000_5000, .reserved), region(0x4000_5000, 0xbaab_f000, .available),
                region(0xbaab_f000, 0xbaeb_f000, .reserved), region(0xbaeb_f000, 0xbafb_f000, .acpiNVS),
                // One page of RAM by itself.
                region(0xbafb_f000, 0xbaff_f000, .acpiReclaimable), region(0xbaff_f000, 0xbb00_0000, .available),
                region(0xbb00_0000, 0xbfa0_0000, .reserved), region(0xf000_0000, 0xf400_0000, .reserved),
                region(0xfeb0_0000, 0xfeb0_4000, .reserved), region(0xfec0_0000, 0xfec0_1000, .reserved),
                region(0xfed1_0000, 0xfed1_a000, .reserved), region(0xfed1_c000, 0xfed2_0000, .reserved),
                region(0xfee0_0000, 0xfee0_1000, .reserved), region(0xffb8_0000, 0x1_0000_0000, .reserved),
                region(0x1_0000_0000, 0x2_3f60_0000, .available),
            ]),
        RealMachine(
            name: "server of 2017 with 192 GiB", bits: 46,
            entries: [
                .through(0, 0x5_cfff, .available), .through(0x5_d000, 0x5_efff, .reserved),
                .through(0x5_f000, 0x9_ffff, .available), .through(0xa_0000, 0xf_ffff, .reserved),
                .through(0x10_0000, 0x6879_2fff, .available), .through(0x6879_3000, 0x69f7_dfff, .reserved),
                .through(0x69f7_e000, 0x6a9a_dfff, .acpiNVS), .through(0x6a9a_e000, 0x6abb_ffff, .acpiReclaimable),
                .through(0x6abc_0000, 0x6f7f_ffff, .available), .through(0x6f80_0000, 0x8fff_ffff, .reserved),
                .through(0xfd00_0000, 0xfe7f_ffff, .reserved), .through(0xfed4_0000, 0xfed4_4fff, .reserved),
                .through(0xff00_0000, 0xffff_ffff, .reserved), .through(0x1_0000_0000, 0x30_3fff_ffff, .available),
            ],
            regions: nil),
        RealMachine(
            name: "appliance started by kexec", bits: 36,
            entries: [
                .through(0, 0xfff, .reserved), .through(0x1000, 0x5_ffff, .available),
                .through(0x6_0000, 0x6_7fff, .reserved), .through(0x6_8000, 0x9_ffff, .available),
                .through(0xa_0000, 0xf_ffff, .acpiNVS), .through(0x10_0000, 0x7f_ffff, .available),
                .through(0x80_0000, 0xb5_7fff, .reserved), .through(0xb5_8000, 0x7edf_ffff, .available),
                .through(0x7ee0_0000, 0x7eff_ffff, .reserved), .through(0x7f00_0000, 0x7f6f_ffff, .acpiNVS),
                .through(0x7f70_0000, 0x7f7f_ffff, .reserved), .through(0x7f80_0000, 0x8fff_ffff, .acpiNVS),
                .through(0xfbff_c000, 0xfbff_dfff, .acpiNVS), .through(0xfeb0_0000, 0xfeb0_ffff, .acpiNVS),
                .through(0xfeb8_0000, 0xfed1_ffff, .acpiNVS),
            ],
            regions: nil),
        RealMachine(
            name: "car computer with a hole where low memory ends", bits: 39,
            entries: [
                .through(0, 0xe_ffff, .available), .through(0xf_0000, 0xf_ffff, .reserved),
                .through(0x20_0000, 0x200f_ffff, .available), .through(0x2010_0000, 0xbfff_ffff, .reserved),
                .through(0xe000_0000, 0xffff_ffff, .reserved),
            ],
            regions: nil),
        RealMachine(
            name: "server with persistent memory, bad memory, and types of its own", bits: 46,
            entries: [
                .through(0, 0x9_bfff, .available), .through(0x9_c000, 0x9_ffff, .reserved),
                .through(0x10_0000, 0x6fff_ffff, .available), .through(0x3000_0000, 0x3000_0fff, .bad),
                .through(0x3000_1000, 0x3000_1fff, .bad), .through(0x7000_0000, 0x7fff_ffff, .other),
                .through(0x1_0000_0000, 0xf_ffff_ffff, .available),
                .through(0x10_0000_0000, 0x1f_ffff_ffff, .persistent),
                .through(0x20_0000_0000, 0x23_ffff_ffff, .persistentLegacy),
            ],
            regions: [
                region(0, 0x9_c000, .available), region(0x9_c000, 0xa_0000, .reserved),
                region(0x10_0000, 0x3000_0000, .available),
                // Merge: two pages that are told apart are one range.
                region(0x3000_0000, 0x3000_2000, .bad), region(0x3000_2000, 0x7000_0000, .available),
                region(0x7000_0000, 0x8000_0000, .other), region(0x1_0000_0000, 0x10_0000_0000, .available),
                region(0x10_0000_0000, 0x20_0000_0000, .persistent),
                region(0x20_0000_0000, 0x24_0000_0000, .persistentLegacy),
            ]),
        RealMachine(
            name: "firmware that describes things twice", bits: 36,
            entries: [
                // Full overlap: the map of the board, and within it what the BIOS takes.
                .through(0, 0x9_ffff, .available), .through(0x9_fc00, 0x9_ffff, .reserved),
                .through(0xe_0000, 0xf_ffff, .reserved), .through(0xe_0000, 0xf_ffff, .reserved),
                // Partial overlap at the end of memory, and the same range under two kinds.
                .through(0x10_0000, 0x7fff_ffff, .available), .through(0x7ff0_0000, 0x800f_ffff, .reserved),
                .through(0x7ff4_0000, 0x7ff4_dfff, .acpiReclaimable), .through(0x7ff4_e000, 0x7ff7_ffff, .acpiNVS),
                .through(0x7ff4_e000, 0x7ff7_ffff, .reserved),
                // RAM within what is reserved, and an entry of no length.
                .through(0xfec0_0000, 0xffff_ffff, .reserved), .through(0xfee0_0000, 0xfee0_0fff, .available),
                MapEntry(0xd000_0000, 0, .reserved),
            ],
            regions: [
                region(0, 0x9_f000, .available), region(0x9_fc00, 0xa_0000, .reserved),
                region(0xe_0000, 0x10_0000, .reserved), region(0x10_0000, 0x7ff0_0000, .available),
                region(0x7ff0_0000, 0x7ff4_0000, .reserved), region(0x7ff4_0000, 0x7ff4_e000, .acpiReclaimable),
                region(0x7ff4_e000, 0x7ff8_0000, .acpiNVS), region(0x7ff8_0000, 0x8010_0000, .reserved),
                region(0xfec0_0000, 0x1_0000_0000, .reserved),
            ]),
    ]

    enum Order: CaseIterable {
        case asTold, reversed, oddOnesFirst, twice, twiceBackwards

        func apply(_ entries: [MapEntry]) -> [MapEntry] {
            switch self {
            case .asTold: entries
            case .reversed: entries.reversed()
            case .oddOnesFirst:
                entries.indices.filter { $0 % 2 == 1 }.map { entries[$0] }
                    + entries.indices.filter { $0 % 2 == 0 }.map { entries[$0] }
            case .twice: entries + entries
            case .twiceBackwards: (entries + entries).reversed()
            }
        }
    }

    @Test(arguments: machines, Order.allCases)
    func becomesWhatItShould(_ machine: RealMachine, order: Order) throws {
        let expected =
            machine.regions
            ?? machine.entries.map { FirmwareRegion(bytes(UInt($0.base), UInt($0.byteCount)), $0.kind) }
        let built = try buildMap(order.apply(machine.entries), bits: machine.bits)
        #expect(built.regions == expected)
        if machine.regions == nil { #expect(built.adjustmentCount == 0) }
    }

    /// What the boot allocator then calls memory is what is available, each byte once, and in pages.
    @Test(arguments: machines)
    func goesToTheBootAllocator(_ machine: RealMachine) throws {
        try withFirmwareMap(bits: machine.bits) { map in
            for entry in machine.entries { map.insert(base: entry.base, byteCount: entry.byteCount, kind: entry.kind) }
            map.trimPartialPages()
            try withBootAllocator { boot in
                boot.add(availableIn: map)
                let found = boot.memoryRanges
                #expect(found == map.snapshot.regions.filter { $0.kind == .available }.map(\.range))
                #expect(found.allSatisfy { $0.start.isAligned(to: 4096) && $0.end.isAligned(to: 4096) })
                let total = boot.totalMemory
                #expect(total == map.byteCount(of: .available))
            }
        }
    }

    /// A part of a server's RAM is kept for something else, as its owner asked for: `memmap=79G$82G`.
    @Test func partOfAServerIsKept() {
        let server = Self.machines[2]
        let found = MemoryMapRequestTests.with("memmap=79G$82G") { line in
            withFirmwareMap(bits: server.bits) { map in
                for entry in server.entries {
                    map.insert(base: entry.base, byteCount: entry.byteCount, kind: entry.kind)
                }
                map.apply(line, malformed: { _ in Issue.record("it is well-formed") })
                map.trimPartialPages()
                return map.snapshot.regions
            }
        }
        #expect(
            found.suffix(3) == [
                region(0x1_0000_0000, 82 << 30, .available), region(82 << 30, 161 << 30, .reserved),
                region(161 << 30, 0x30_4000_0000, .available),
            ])
    }
}
