import MemoryPrimitives
import Paging
import SimulatedMachine
import Testing

/// Ranges are mapped a table at a time. Each page must be right, and each entry in the way must be met.
@Suite struct MapManyTests {
    private static let features = PagingFeatures(noExecute: true, gigabytePages: false, globalPages: true)

    /// What is in the way of a range that begins within a first table and ends within a third.
    @Test(arguments: AuditOfManyTests.positions, [0, 1, 2] as [UInt])
    func oneEntryInTheWayRefusesTheWholeRange(position: Int, table: UInt) throws {
        for size in [PageSize.size4KiB, .size2MiB] {
            let bench = Bench(features: Self.features)
            try bench.machine.run {
                let span = 512 * size.byteCount
                let obstacle = table * span + UInt(position) * size.byteCount
                let range = pages(areas + 5 * size.byteCount, 3 * span - 10 * size.byteCount)
                try bench.tables.value.map(
                    page(areas + obstacle), to: memory(gib), size: size, permissions: .readOnly, using: &bench.source)
                let before = bench.snapshot()
                let tables = bench.tables
                func expect(
                    isRefused: Bool, _ body: () throws(PagingError) -> Void,
                    _ location: SourceLocation = #_sourceLocation
                ) throws {
                    if isRefused {
                        #expect(throws: PagingError.alreadyMapped, sourceLocation: location) { try body() }
                        #expect(bench.snapshot() == before, sourceLocation: location)
                    } else {
                        try body()
                        try tables.value.checkInvariants()
                        try tables.value.clear(range, using: &bench.source) { _, _ in }
                    }
                }
                let isInTheWay = range.contains(page(areas + obstacle))
                try expect(isRefused: isInTheWay) { () throws(PagingError) in
                    try tables.value.mapRange(
                        range, to: memory(5 * size.byteCount), permissions: .readWrite, using: &bench.source)
                }
                if size == .size4KiB {
                    try expect(isRefused: isInTheWay) { () throws(PagingError) in
                        try tables.value.reserveDemand(range, permissions: .readWrite, using: &bench.source)
                    }
                }
                #expect(bench.tables.value.lookup(page(areas + obstacle)) != .none)
                try bench.tables.value.checkInvariants()
            }
        }
    }

    /// A table that is half full already is filled on both sides of what is there, up to it and not over it.
    @Test(arguments: AuditOfManyTests.positions)
    func partlyFilledTablesAreFilled(position: Int) throws {
        let bench = Bench(features: Self.features)
        try bench.machine.run {
            let held = UInt(position) * 4096
            try bench.tables.value.map(
                page(areas + held), to: memory(gib), permissions: .readOnly, using: &bench.source)
            let below = pages(areas - 3 * 4096, held + 3 * 4096)
            let above = pages(areas + held + 4096, 2 * mib + 7 * 4096 - held)
            try bench.tables.value.mapRange(
                below, to: memory(2 * gib - 3 * 4096), permissions: .readWrite, using: &bench.source)
            try bench.tables.value.mapRange(
                above, to: memory(3 * gib + held + 4096), permissions: .readExecute, using: &bench.source)
            for index in -3..<520 {
                let offset = UInt(bitPattern: index * 4096)
                let translation = try #require(translate(bench, areas &+ offset))
                let (physical, permissions): (UInt, PagePermissions) =
                    index < position
                    ? (2 * gib, .readWrite) : index == position ? (gib - held, .readOnly) : (3 * gib, .readExecute)
                #expect(translation.physical.rawValue == physical &+ offset)
                #expect(translation.permissions == permissions && translation.size == .size4KiB)
            }
            #expect(bench.tables.value.lookup(page(areas - 4 * 4096)) == .none)
            #expect(bench.tables.value.lookup(page(areas + 520 * 4096)) == .none)
            try bench.tables.value.checkInvariants()
            expectReferenceAudit(bench, "position \(position)")
        }
    }

    /// A range that begins and ends with small pages, over several tables of large ones.
    @Test(arguments: [true, false])
    func aRangeOfAllSizesLeadsWhereItShould(gigabytePages: Bool) throws {
        var features = Self.features
        features.gigabytePages = gigabytePages
        let bench = Bench(memory: 8 << 30, features: features)
        try bench.machine.run {
            let start = areas + gib - 2 * mib - 12 * kib
            let range = pages(start, 3 * gib + 6 * mib + 20 * kib)
            let physical = gib - 2 * mib - 12 * kib
            try bench.tables.value.mapRange(
                range, to: memory(physical), permissions: .readWrite, using: &bench.source)
            var offset: UInt = 0
            while offset < range.byteCount {
                let translation = try #require(translate(bench, start + offset))
                let fits = [PageSize.size1GiB, .size2MiB].first { size in
                    (size != .size1GiB || gigabytePages) && (physical + offset) % size.byteCount == 0
                        && range.byteCount - offset >= size.byteCount
                }
                #expect(translation.physical.rawValue == physical + offset)
                #expect(translation.size == fits ?? .size4KiB && translation.permissions == .readWrite)
                offset += translation.size.byteCount
            }
            #expect(offset == range.byteCount)
            #expect(bench.tables.value.lookup(page(start - 1)) == .none)
            #expect(bench.tables.value.lookup(range.end) == .none)
            try bench.tables.value.checkInvariants()
            expectReferenceAudit(bench, "all sizes")
            try bench.tables.value.unmapRange(range, using: &bench.source)
            #expect(bench.pool.inUse == 1)
        }
    }

    @Test func demandEntriesOverSeveralTablesAreDueOneByOne() throws {
        let bench = Bench()
        try bench.machine.run {
            let range = pages(areas + mib + 4096, 5 * mib)
            try bench.tables.value.reserveDemand(range, permissions: .readWrite, using: &bench.source)
            try bench.tables.value.checkInvariants()
            for offset in stride(from: 0, to: range.byteCount, by: 4096) {
                #expect(bench.tables.value.lookup(range.start + offset) == .demand(.readWrite))
            }
            #expect(bench.tables.value.lookup(range.start - 1) == .none)
            #expect(bench.tables.value.lookup(range.end) == .none)
            #expect(bench.tables.value.audit().demandEntries == range.byteCount / 4096)
            for offset in [0, mib, 3 * mib + 4096, 5 * mib - 4096] {
                let isResolved = bench.tables.value.resolveDemand(at: range.start + offset, frame: memory(gib + offset))
                #expect(isResolved)
                #expect(bench.tables.value.translate(range.start + offset)?.physical == memory(gib + offset))
            }
            try bench.tables.value.checkInvariants()
            expectReferenceAudit(bench, "demand")
        }
    }

    private func translate(_ bench: Bench, _ address: UInt) -> Translation? {
        bench.tables.value.translate(page(address))
    }
}
