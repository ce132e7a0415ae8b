import MemoryPrimitives
import Paging
import SimulatedMachine
import Testing

/// Walking ranges: mixed sizes, gaps, edges, and the ends of the address space.
@Suite struct WalkTests {
    private func walk(_ bench: Bench, _ first: UInt, _ last: UInt) throws -> [WalkedEntry] {
        var found: [WalkedEntry] = []
        try bench.tables.value.walk(from: page(first), through: page(last)) {
            found.append($0)
            return true
        }
        return found
    }

    @Test func everythingIsVisitedInOrder() throws {
        let bench = Bench()
        try bench.machine.run {
            let tables = bench.tables
            let last4KiB = areas + gib + 2 * mib
            try tables.value.mapRange(
                pages(areas, gib + 2 * mib + 8192), to: memory(gib), permissions: .readWrite, using: &bench.source)
            try tables.value.reserveGuard(pages(last4KiB + 16384, 4096), using: &bench.source)
            try tables.value.reserveDemand(
                pages(last4KiB + 20480, 4096), permissions: .readOnly, using: &bench.source)
            let found = try walk(bench, areas, areas + 512 * gib - 1)
            #expect(
                found.map(\.address.rawValue) == [
                    areas, areas + gib, last4KiB, last4KiB + 4096, last4KiB + 16384, last4KiB + 20480,
                ])
            #expect(found.map(\.byteCount) == [gib, 2 * mib, 4096, 4096, 4096, 4096])
            #expect(
                found[1].content
                    == .mapped(Translation(physical: memory(2 * gib), size: .size2MiB, permissions: .readWrite)))
            #expect(found[4].content == .guardPage && found[5].content == .demand(.readOnly))
            #expect(found[2].usage == .accessed | .dirty && found[4].usage == PageUsage.none)
            // A page that the range begins or ends in is visited whole.
            #expect(try walk(bench, areas + gib - 1, areas + gib).map(\.byteCount) == [gib, 2 * mib])
            #expect(try walk(bench, areas + 4 * gib, areas + 5 * gib) == [])
            var visited = 0
            try tables.value.walk(from: page(areas), through: page(areas + 2 * gib)) { _ in
                visited += 1
                return visited < 2
            }
            #expect(visited == 2, "false ends the walk")
        }
    }

    /// The first and the last page of each half, by single calls, because no half-open range ends where it should.
    @Test(arguments: [false, true]) func theEndsOfTheAddressSpaceAreReached(fiveLevels: Bool) throws {
        let features = PagingFeatures(
            noExecute: true, gigabytePages: true, globalPages: true, fiveLevels: fiveLevels)
        let bench = Bench(features: features)
        let half = fiveLevels ? UInt(1) << 56 : 1 << 47
        try bench.machine.run {
            let tables = bench.tables
            for address in [0, half - 4096, 0 &- half, UInt.max - 4095] {
                try tables.value.map(page(address), to: memory(gib), permissions: .readOnly, using: &bench.source)
            }
            #expect(try walk(bench, 0, half - 1).map(\.address.rawValue) == [0, half - 4096])
            #expect(try walk(bench, 0 &- half, UInt.max).map(\.address.rawValue) == [0 &- half, UInt.max - 4095])
            #expect(try walk(bench, UInt.max, UInt.max).count == 1)
            #expect(tables.value.usage(of: page(UInt.max)) == .accessed)
            #expect(bench.reads(page(UInt.max - 7), from: memory(gib + 4088)))
            try tables.value.protect(page(UInt.max - 4095), permissions: .readWrite, using: &bench.source)
            #expect(bench.fault(at: page(UInt.max - 7), .store) == nil)
            try tables.value.unmap(page(UInt.max - 4095), using: &bench.source)
            #expect(try walk(bench, 0 &- half, UInt.max).count == 1)
            for (first, last) in [(half - 1, half), (UInt(0), UInt.max), (areas + 1, areas), (half, half)] {
                #expect(throws: PagingError.notCanonical) { try walk(bench, first, last) }
            }
            #expect(bench.machine.takeStaleTranslations() == [])
        }
    }
}
