import BootMemory
import MemoryPrimitives
import Testing

/// Every firmware map of up to three entries on a small grid, compared with what its entries say of each byte.
@Suite struct EverySmallMapTests {
    /// Where entries begin and end: on page boundaries, in the middle of pages, and a byte beside a boundary.
    static let grid: [UInt64] = [0, 0x800, 0x1000, 0x1fff, 0x3000, 0x3800]

    static let kinds: [MemoryKind] = [.available, .reserved, .acpiReclaimable, .acpiNVS]

    struct Entry {
        let start: UInt64
        let end: UInt64
        let kind: MemoryKind
    }

    /// The entries of all kinds between any two points.
    static let entries: [Entry] = grid.indices.flatMap { first in
        grid.indices[(first + 1)...].flatMap { last in
            kinds.map { Entry(start: grid[first], end: grid[last], kind: $0) }
        }
    }

    /// The parts into which the grid and the pages cut memory: all of each is alike.
    static let cells: [Range<UInt64>] = {
        let points = Set(grid + (0...4).map { $0 * 0x1000 }).sorted()
        return zip(points, points.dropFirst()).map { $0..<$1 }
    }()

    /// The cells of each page.
    static let pages: [[Int]] = (0..<4).map { page in cells.indices.filter { cells[$0].lowerBound / 0x1000 == page } }

    /// What each cell must be: the most restrictive kind that an entry gives it. Where a part of a page is not
    /// available, nothing of it is.
    private static func model(_ map: [Entry]) -> [MemoryKind?] {
        var kinds = cells.map { cell in
            map.filter { $0.start <= cell.lowerBound && cell.upperBound <= $0.end }.map(\.kind).max()
        }
        for page in pages where page.contains(where: { kinds[$0] != .available }) {
            for cell in page where kinds[cell] == .available { kinds[cell] = nil }
        }
        return kinds
    }

    /// A map that is used again and again.
    private final class Place {
        let regions = UnsafeMutableBufferPointer<FirmwareRegion>.allocate(capacity: 16)
        let adjustments = UnsafeMutableBufferPointer<MapAdjustment>.allocate(capacity: 16)

        deinit {
            regions.deallocate()
            adjustments.deallocate()
        }

        /// What each cell is.
        func build(_ entries: [Entry]) throws -> [MemoryKind?] {
            var map = FirmwareMap(storage: regions, adjustments: adjustments, physicalAddressBits: 52)
            for entry in entries {
                map.insert(base: entry.start, byteCount: entry.end - entry.start, kind: entry.kind)
            }
            try map.checkInvariants()
            map.trimPartialPages()
            try map.checkInvariants()
            var kinds: [MemoryKind?] = EverySmallMapTests.cells.map { _ in nil }
            for index in 0..<map.count {
                let region = map[index]
                for (cell, range) in EverySmallMapTests.cells.enumerated()
                where region.range.start.rawValue < range.upperBound && range.lowerBound < region.range.end.rawValue {
                    guard region.range.start.rawValue <= range.lowerBound, range.upperBound <= region.range.end.rawValue
                    else { throw Wrong("region \(region) begins or ends where no entry and no page does") }
                    kinds[cell] = region.kind
                }
            }
            return kinds
        }
    }

    @Test func noEntries() throws { #expect(try Place().build([]) == Self.model([])) }

    /// By the first entry, so that the others' share of the work is done at the same time.
    @Test(arguments: entries.indices) func everyMap(first: Int) throws {
        let place = Place()
        let all = Self.entries
        func compare(_ map: [Entry]) throws {
            let found = try place.build(map)
            if found != Self.model(map) { Issue.record("\(map): \(found)") }
        }
        try compare([all[first]])
        for second in all {
            try compare([all[first], second])
            for third in all { try compare([all[first], second, third]) }
        }
    }
}
