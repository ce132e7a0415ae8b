import BootMemory
import MemoryPrimitives
import SimulatedMachine
import Testing

/// Maps that no sane firmware makes.
@Suite struct HostileMapTests {
    @Test(arguments: [
        (MapEntry(.max, .max, .available), MapAdjustment.Reason.wraps),
        (MapEntry(1, .max, .available), .clipped),
        (MapEntry(2, .max, .available), .wraps),
        (MapEntry(0, .max, .reserved), .clipped),
        (MapEntry(.max, 1, .available), .beyondLimit),
        (MapEntry(.max, 2, .available), .wraps),
        (MapEntry(1 << 63, 1 << 63, .available), .beyondLimit),
        (MapEntry(1 << 52, 0x1000, .available), .beyondLimit),
        (MapEntry((1 << 52) - 1, 2, .reserved), .clipped),
        (MapEntry(0, 0, .available), .empty),
        (MapEntry(.max, 0, .bad), .empty),
    ])
    func impossibleEntries(_ entry: MapEntry, reason: MapAdjustment.Reason) throws {
        let built = try buildMap([MapEntry(0x1000, 0x1000, .available), entry])
        #expect(built.adjustments.first?.reason == reason)
        // What was there before is there still, unless the entry covers it.
        if reason != .clipped { #expect(built.regions == [FirmwareRegion(range(0x1000, 0x2000), .available)]) }
        #expect(built.regions.allSatisfy { $0.range.end <= .limit })
    }

    @Test(arguments: [-1, 0, 12, 36, 52, 53, 64, .max])
    func anyNumberOfAddressBits(bits: Int) throws {
        let built = try buildMap([MapEntry(0, .max, .available)], bits: bits)
        let expected = min(max(bits, 0), 52)
        #expect(built.regions.map(\.range.end) == (expected < 12 ? [] : [PhysicalAddress(1 << UInt(expected))]))
    }

    @Test func entriesBeyondTheRoomAreDroppedAndCounted() throws {
        let entries = (0..<500).map { MapEntry(0x10_0000 + $0 * 0x2000, 0x1000, .available) }
        let built = try buildMap(entries, capacity: 128, adjustmentCapacity: 64)
        #expect(built.regions.count == 128)
        #expect(built.adjustmentCount == 372)
        #expect(
            built.adjustments
                == entries[128..<192].map { MapAdjustment(.noRoom, bytes(UInt($0.base), 0x1000), .available) })
    }

    @Test func aMapWithoutRoomHoldsNothing() throws {
        let built = try buildMap([MapEntry(0, 0x1000, .available)], capacity: 0, adjustmentCapacity: 0)
        #expect(built.regions.isEmpty)
        #expect(built.adjustmentCount == 1)
    }

    @Test func memoryThatCannotBeCutInTwoLosesTheSmallerPart() throws {
        let built = try buildMap(
            [MapEntry(0, 0x1_0000, .available), MapEntry(0x4000, 0x1000, .reserved)], capacity: 2)
        #expect(
            built.regions == [
                FirmwareRegion(range(0x4000, 0x5000), .reserved), FirmwareRegion(range(0x5000, 0x1_0000), .available),
            ])
        #expect(built.adjustments(for: .noRoom).map(\.range) == [range(0, 0x4000)])
    }

    /// Whatever is dropped for lack of room, no byte is called available that some entry says is not.
    @Test func lackOfRoomNeverMakesMemoryAvailable() throws {
        var generator = SeededGenerator.fromEnvironment(default: 0x5eed_0002)
        for round in 0..<3000 {
            let capacity = Int.random(in: 0...6, using: &generator)
            let entries = (0..<Int.random(in: 1...12, using: &generator)).map { _ in
                MapEntry(
                    UInt64.random(in: 0..<24, using: &generator) * 0x1000,
                    UInt64.random(in: 1...8, using: &generator) * 0x1000,
                    [.available, .available, .reserved, .bad].randomElement(using: &generator)!)
            }
            let built = try buildMap(entries, capacity: capacity)
            for page in 0..<32 {
                let address = PhysicalAddress(UInt(page) * 0x1000)
                let found = built.regions.first { $0.range.contains(address) }?.kind
                let described = entries.filter {
                    $0.base <= address.rawValue && address.rawValue - UInt($0.base) < $0.byteCount
                }
                if found == .available && (described.isEmpty || described.contains { $0.kind != .available }) {
                    Issue.record("seed \(generator.seed), round \(round), page \(page): \(entries)")
                }
            }
        }
    }

    /// The kind of each half page, where nothing is dropped, is the greatest of all entries that describe it, and
    /// available memory comes in whole pages.
    static func compare(_ built: BuiltMap, with entries: [MapEntry], halfPages: Int, _ note: @autoclosure () -> String)
    {
        func kind(_ half: Int) -> MemoryKind? {
            let address = UInt64(half) * 0x800
            return entries.filter { $0.base <= address && address - $0.base < $0.byteCount }.map(\.kind).max()
        }
        for half in 0..<halfPages {
            let address = PhysicalAddress(UInt(half) * 0x800)
            let found = built.regions.first { $0.range.contains(address) }?.kind
            var expected = kind(half)
            if expected == .available && kind(half ^ 1) != .available { expected = nil }
            if found != expected {
                Issue.record(
                    "\(note()): half page \(half) is \(String(describing: found)), not \(String(describing: expected))")
            }
        }
    }

    @Test func randomMapsMeanWhatTheirEntriesSay() throws {
        var generator = SeededGenerator.fromEnvironment(default: 0x5eed_0003)
        for round in 0..<1500 {
            let entries = (0..<Int.random(in: 1...14, using: &generator)).map { _ in
                MapEntry(
                    UInt64.random(in: 0..<32, using: &generator) * 0x800,
                    UInt64.random(in: 1...16, using: &generator) * 0x800,
                    MemoryKind.allCases.randomElement(using: &generator)!)
            }
            Self.compare(
                try buildMap(entries), with: entries, halfPages: 48,
                "seed \(generator.seed), round \(round): \(entries)")
        }
    }

    /// Every map of two entries of three kinds on a grid of five half pages.
    @Test func everySmallMapMeansWhatItsEntriesSay() throws {
        var all: [MapEntry] = []
        for start in UInt64(0)..<5 {
            for end in (start + 1)...5 {
                for kind in [MemoryKind.available, .reserved, .acpiNVS] {
                    all.append(MapEntry(start * 0x800, (end - start) * 0x800, kind))
                }
            }
        }
        #expect(all.count == 45)
        for first in all {
            for second in all {
                Self.compare(
                    try buildMap([first, second]), with: [first, second], halfPages: 6, "\(first), \(second)")
            }
        }
    }
}
