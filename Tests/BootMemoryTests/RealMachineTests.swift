import BootMemory
import MemoryPrimitives
import Testing

/// Maps as machines report them.
@Suite struct RealMachineTests {
    private static let pcLowMemory: [MapEntry] = [
        .through(0, 0x9_fbff, .available), .through(0x9_fc00, 0x9_ffff, .reserved),
        .through(0xf_0000, 0xf_ffff, .reserved),
    ]

    private static let pcLowRegions: [FirmwareRegion] = [
        FirmwareRegion(range(0, 0x9_f000), .available), FirmwareRegion(range(0x9_fc00, 0xa_0000), .reserved),
        FirmwareRegion(range(0xf_0000, 0x10_0000), .reserved),
    ]

    @Test func virtualMachineOf5GiB() throws {
        let built = try buildMap(
            Self.pcLowMemory + [
                .through(0x10_0000, 0xbffd_ffff, .available), .through(0xbffe_0000, 0xbfff_ffff, .reserved),
                .through(0xfffc_0000, 0xffff_ffff, .reserved), .through(0x1_0000_0000, 0x1_7fff_ffff, .available),
                .through(0xfd_0000_0000, 0xff_ffff_ffff, .reserved),
            ], bits: 40)
        #expect(
            built.regions == Self.pcLowRegions + [
                FirmwareRegion(range(0x10_0000, 0xbffe_0000), .available),
                FirmwareRegion(range(0xbffe_0000, 0xc000_0000), .reserved),
                FirmwareRegion(range(0xfffc_0000, 0x1_0000_0000), .reserved),
                FirmwareRegion(range(0x1_0000_0000, 0x1_8000_0000), .available),
                FirmwareRegion(range(0xfd_0000_0000, 0x100_0000_0000), .reserved),
            ])
        #expect(built.adjustments == [MapAdjustment(.partialPage, range(0x9_f000, 0x9_fc00), .available)])
    }

    @Test func virtualMachineOf64GiB() throws {
        let entries =
            Self.pcLowMemory + [
                .through(0x10_0000, 0xbffd_ffff, .available), .through(0xbffe_0000, 0xbfff_ffff, .reserved),
                .through(0xfffc_0000, 0xffff_ffff, .reserved), .through(0x1_0000_0000, 0x10_3fff_ffff, .available),
            ]
        let built = try buildMap(entries, bits: 40)
        let available = built.regions.filter { $0.kind == .available }
        #expect(
            available.map(\.range) == [range(0, 0x9_f000), range(0x10_0000, 0xbffe_0000), bytes(1 << 32, 61 << 30)])
        // The same machine with a CPU of 36 address bits.
        let clipped = try buildMap(entries, bits: 36)
        #expect(clipped.regions.last == FirmwareRegion(range(1 << 32, 1 << 36), .available))
        #expect(
            clipped.adjustments(for: .clipped) == [
                MapAdjustment(.clipped, range(1 << 36, 0x10_4000_0000), .available)
            ])
        // And with mem=512M.
        let limited = try buildMap(entries, bits: 40, userLimit: PhysicalAddress(512 << 20))
        #expect(limited.regions.last { $0.kind == .available }?.range == range(0x10_0000, 512 << 20))
        #expect(limited.adjustments(for: .beyondUserLimit).count == 2)
    }

    /// A notebook: ACPI tables and non-volatile storage between pieces of RAM, and low memory in pieces.
    static let notebook: [MapEntry] = [
        .through(0, 0x5_7fff, .available), .through(0x5_8000, 0x5_8fff, .reserved),
        .through(0x5_9000, 0x9_dfff, .available), .through(0x9_e000, 0xf_ffff, .reserved),
        .through(0x10_0000, 0xb6dc_dfff, .available), .through(0xb6dc_e000, 0xb6dc_efff, .acpiNVS),
        .through(0xb6dc_f000, 0xb6dc_ffff, .reserved), .through(0xb6dd_0000, 0xc5c3_afff, .available),
        .through(0xc5c3_b000, 0xc608_0fff, .reserved), .through(0xc608_1000, 0xc60f_dfff, .acpiReclaimable),
        .through(0xc60f_e000, 0xc6b1_efff, .acpiNVS), .through(0xc6b1_f000, 0xc73f_efff, .reserved),
        .through(0xc73f_f000, 0xc73f_ffff, .available), .through(0xc740_0000, 0xc7ff_ffff, .reserved),
        .through(0xe000_0000, 0xefff_ffff, .reserved), .through(0xfe00_0000, 0xfe01_0fff, .reserved),
        .through(0xfec0_0000, 0xfec0_0fff, .reserved), .through(0xfee0_0000, 0xfee0_0fff, .reserved),
        .through(0xff00_0000, 0xffff_ffff, .reserved), .through(0x1_0000_0000, 0x2_35ff_ffff, .available),
    ]

    @Test func notebookMapIsTakenAsItIs() throws {
        let built = try buildMap(Self.notebook, bits: 39)
        #expect(
            built.regions
                == Self.notebook.map { FirmwareRegion(bytes(UInt($0.base), UInt($0.byteCount)), $0.kind) })
        #expect(built.adjustmentCount == 0)
        #expect(try buildMap(Self.notebook.reversed(), bits: 39).regions == built.regions)
        #expect(try buildMap(Self.notebook + Self.notebook, bits: 39).regions == built.regions)
    }

    /// An older machine, in the order and with the overlaps that its firmware gave: the entry of a chip set's driver
    /// covers the end of RAM, and a piece of RAM stands within a reserved range.
    @Test func machineWithOverlaps() throws {
        let built = try buildMap([
            .through(0xfffb_0000, 0xffff_ffff, .reserved), .through(0, 0x9_e7ff, .available),
            .through(0x10_0000, 0x1fff_ffff, .available), .through(0x1ffd_0000, 0x2000_ffff, .reserved),
            .through(0x1ffd_4000, 0x1ffd_7fff, .acpiReclaimable), .through(0xe_0000, 0xf_ffff, .reserved),
            .through(0xf_0000, 0xf_7fff, .available), .through(0x9_e800, 0x9_ffff, .reserved),
        ])
        #expect(
            built.regions == [
                FirmwareRegion(range(0, 0x9_e000), .available), FirmwareRegion(range(0x9_e800, 0xa_0000), .reserved),
                FirmwareRegion(range(0xe_0000, 0x10_0000), .reserved),
                FirmwareRegion(range(0x10_0000, 0x1ffd_0000), .available),
                FirmwareRegion(range(0x1ffd_0000, 0x1ffd_4000), .reserved),
                FirmwareRegion(range(0x1ffd_4000, 0x1ffd_8000), .acpiReclaimable),
                FirmwareRegion(range(0x1ffd_8000, 0x2001_0000), .reserved),
                FirmwareRegion(range(0xfffb_0000, 0x1_0000_0000), .reserved),
            ])
        #expect(
            built.adjustments(for: .overlap).map(\.range) == [
                range(0x1ffd_0000, 0x2000_0000), range(0x1ffd_4000, 0x1ffd_8000), range(0xf_0000, 0xf_8000),
            ])
    }
}
