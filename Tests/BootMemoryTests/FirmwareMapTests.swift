import BootMemory
import MemoryPrimitives
import Testing

private func region(_ start: UInt, _ end: UInt, _ kind: MemoryKind) -> FirmwareRegion {
    FirmwareRegion(range(start, end), kind)
}

/// How entries are put in order, merged and resolved where they overlap.
@Suite struct FirmwareMapTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var entries: [MapEntry]
        var regions: [FirmwareRegion]
        var testDescription: String { name }
    }

    static let cases: [Case] = [
        Case(
            name: "reorder",
            entries: [
                MapEntry(0x4000, 0x1000, .reserved), MapEntry(0x1000, 0x1000, .available),
                MapEntry(0x2000, 0x1000, .acpiNVS),
            ],
            regions: [
                region(0x1000, 0x2000, .available), region(0x2000, 0x3000, .acpiNVS),
                region(0x4000, 0x5000, .reserved),
            ]),
        Case(
            name: "merge neighbours",
            entries: [
                MapEntry(0x3000, 0x1000, .available), MapEntry(0x1000, 0x1000, .available),
                MapEntry(0x2000, 0x1000, .available),
            ],
            regions: [region(0x1000, 0x4000, .available)]),
        Case(
            name: "merge overlapping entries of one kind",
            entries: [MapEntry(0x1000, 0x3000, .reserved), MapEntry(0x2000, 0x4000, .reserved)],
            regions: [region(0x1000, 0x6000, .reserved)]),
        Case(
            name: "neighbours of different kinds",
            entries: [MapEntry(0x1000, 0x1000, .available), MapEntry(0x2000, 0x1000, .reserved)],
            regions: [region(0x1000, 0x2000, .available), region(0x2000, 0x3000, .reserved)]),
        Case(
            name: "align",
            entries: [MapEntry(0x1234, 0x4000, .available), MapEntry(0x8010, 0x20, .reserved)],
            regions: [region(0x2000, 0x5000, .available), region(0x8010, 0x8030, .reserved)]),
        Case(
            name: "a page made of two entries",
            entries: [MapEntry(0x1000, 0x800, .available), MapEntry(0x1800, 0x1800, .available)],
            regions: [region(0x1000, 0x3000, .available)]),
        Case(name: "less than a page", entries: [MapEntry(0x1001, 0xffe, .available)], regions: []),
        Case(
            name: "reserved over the end",
            entries: [MapEntry(0x1000, 0x4000, .available), MapEntry(0x3000, 0x4000, .reserved)],
            regions: [region(0x1000, 0x3000, .available), region(0x3000, 0x7000, .reserved)]),
        Case(
            name: "reserved over the start",
            entries: [MapEntry(0x3000, 0x4000, .available), MapEntry(0x1000, 0x4000, .reserved)],
            regions: [region(0x1000, 0x5000, .reserved), region(0x5000, 0x7000, .available)]),
        Case(
            name: "reserved within",
            entries: [MapEntry(0x1000, 0x8000, .available), MapEntry(0x3000, 0x1000, .reserved)],
            regions: [
                region(0x1000, 0x3000, .available), region(0x3000, 0x4000, .reserved),
                region(0x4000, 0x9000, .available),
            ]),
        Case(
            name: "reserved all around",
            entries: [MapEntry(0x3000, 0x1000, .available), MapEntry(0x1000, 0x8000, .reserved)],
            regions: [region(0x1000, 0x9000, .reserved)]),
        Case(
            name: "the same range", entries: [MapEntry(0x1000, 0x1000, .available), MapEntry(0x1000, 0x1000, .bad)],
            regions: [region(0x1000, 0x2000, .bad)]),
        Case(
            name: "the same start",
            entries: [MapEntry(0x1000, 0x3000, .available), MapEntry(0x1000, 0x1000, .acpiNVS)],
            regions: [region(0x1000, 0x2000, .acpiNVS), region(0x2000, 0x4000, .available)]),
        Case(
            name: "the same end", entries: [MapEntry(0x1000, 0x3000, .available), MapEntry(0x3000, 0x1000, .reserved)],
            regions: [region(0x1000, 0x3000, .available), region(0x3000, 0x4000, .reserved)]),
        Case(
            name: "one across many",
            entries: [
                MapEntry(0x2000, 0x1000, .available), MapEntry(0x4000, 0x1000, .bad),
                MapEntry(0x6000, 0x1000, .available), MapEntry(0x1000, 0x7000, .reserved),
            ],
            regions: [
                region(0x1000, 0x4000, .reserved), region(0x4000, 0x5000, .bad), region(0x5000, 0x8000, .reserved),
            ]),
        Case(
            name: "a hole in the middle of a page",
            entries: [MapEntry(0x1000, 0x3000, .available), MapEntry(0x2400, 0x10, .reserved)],
            regions: [
                region(0x1000, 0x2000, .available), region(0x2400, 0x2410, .reserved),
                region(0x3000, 0x4000, .available),
            ]),
        Case(
            name: "all kinds on one range", entries: MemoryKind.allCases.map { MapEntry(0x1000, 0x1000, $0) },
            regions: [region(0x1000, 0x2000, .other)]),
    ]

    /// Both ways round: the order of the entries must not matter.
    @Test(arguments: cases, [false, true])
    func sanitises(_ test: Case, isReversed: Bool) throws {
        let built = try buildMap(isReversed ? test.entries.reversed() : test.entries)
        #expect(built.regions == test.regions)
    }

    @Test func firmwareTypesHaveTheirACPIMeaning() {
        let kinds = (0...8).map { MemoryKind(firmwareType: $0) }
        #expect(
            kinds == [.other, .available, .reserved, .acpiReclaimable, .acpiNVS, .bad, .other, .persistent, .other])
        #expect(MemoryKind(firmwareType: 12) == .persistentLegacy)
        #expect(MemoryKind(firmwareType: .max) == .other)
        #expect(MemoryKind.allCases == MemoryKind.allCases.sorted())
    }

    @Test func everyChangeIsLogged() throws {
        let built = try buildMap(
            [
                MapEntry(0x10_0000, 0, .available), MapEntry(0xffff_ffff_ffff_f000, 0x2000, .available),
                MapEntry(1 << 40, 0x1000, .reserved), MapEntry((1 << 36) - 0x1000, 0x3000, .reserved),
                MapEntry(0x1800, 0x2000, .available), MapEntry(0x2000, 0x1000, .reserved),
                MapEntry(0x8000_0000, 0x2000, .available),
            ], bits: 36, userLimit: PhysicalAddress(0x8000_1000))
        #expect(
            built.adjustments == [
                MapAdjustment(.empty, range(0x10_0000, 0x10_0000), .available),
                MapAdjustment(.wraps, range(0xffff_ffff_ffff_f000, .max), .available),
                MapAdjustment(.beyondLimit, bytes(1 << 40, 0x1000), .reserved),
                MapAdjustment(.clipped, bytes(1 << 36, 0x2000), .reserved),
                MapAdjustment(.overlap, range(0x2000, 0x3000), .reserved),
                MapAdjustment(.beyondUserLimit, range(0x8000_1000, 0x8000_2000), .available),
                MapAdjustment(.partialPage, range(0x1800, 0x2000), .available),
                MapAdjustment(.partialPage, range(0x3000, 0x3800), .available),
            ])
        #expect(
            built.regions == [
                region(0x2000, 0x3000, .reserved), region(0x8000_0000, 0x8000_1000, .available),
                region((1 << 36) - 0x1000, 1 << 36, .reserved),
            ])
    }

    @Test func theUserLimitsOnlyAvailableMemory() throws {
        let built = try buildMap(
            [MapEntry(0, 0x1000_0000, .available), MapEntry(0xf000_0000, 0x1000, .reserved)],
            userLimit: PhysicalAddress(0x400_0800))
        #expect(
            built.regions == [region(0, 0x400_0000, .available), region(0xf000_0000, 0xf000_1000, .reserved)])
    }

    @Test func availableMemoryGoesToTheBootAllocator() throws {
        try withFirmwareMap { map in
            map.insert(base: 0, byteCount: 0x9fc00, kind: .available)
            map.insert(base: 0x9fc00, byteCount: 0x400, kind: .reserved)
            map.insert(base: 0x10_0000, byteCount: 0x10_0000, kind: .available)
            map.trimPartialPages()
            try withBootAllocator { boot in
                boot.add(availableIn: map)
                let found = boot.memoryRanges
                #expect(found == [range(0, 0x9f000), range(0x10_0000, 0x20_0000)])
            }
            let sums = (map.byteCount(of: .available), map.byteCount(of: .reserved), map.byteCount(of: .bad))
            #expect(sums == (0x9f000 + 0x10_0000, 0x400, 0))
        }
    }
}
