import MemoryPrimitives
import Paging
import SimulatedMachine
import Testing

/// Every table that a call needs is refused in turn: nothing may be different afterwards.
@Suite struct AllocationFailureTests {
    private func failEachAllocation(
        needing tables: Int, alias: TopLevelAlias? = nil, prepare: (Bench) throws -> Void = { _ in },
        _ call: (Bench) throws -> Void, location: SourceLocation = #_sourceLocation
    ) throws {
        let bench = Bench(alias: alias)
        try bench.machine.run {
            try bench.tables.value.map(page(areas), to: memory(gib), permissions: .readWrite, using: &bench.source)
            try prepare(bench)
            let before = bench.snapshot()
            let count = bench.tables.value.tableCount
            let flushes = bench.machine.pageFlushCount
            for budget in 0..<tables {
                bench.pool.limit(to: budget)
                #expect(throws: PagingError.outOfTables, sourceLocation: location) { try call(bench) }
                #expect(bench.snapshot() == before, "with \(budget) tables", sourceLocation: location)
                #expect(bench.tables.value.tableCount == count, sourceLocation: location)
                #expect(bench.machine.pageFlushCount == flushes, sourceLocation: location)
                try bench.tables.value.checkInvariants()
            }
            bench.pool.limit(to: tables)
            try call(bench)
            #expect(bench.tables.value.tableCount == count + tables, sourceLocation: location)
            try bench.tables.value.checkInvariants()
        }
    }

    @Test func map() throws {
        for (size, tables) in [(PageSize.size4KiB, 3), (.size2MiB, 2), (.size1GiB, 1)] {
            try failEachAllocation(needing: tables) { bench in
                try bench.tables.value.map(
                    page(0xffff_8880_0000_0000), to: memory(gib), size: size, permissions: .readWrite,
                    using: &bench.source)
            }
        }
    }

    @Test func mapRangeAcrossTablesOfEveryLevel() throws {
        // The last two pages of one top-level slot, and the first two of the next.
        try failEachAllocation(needing: 6) { bench in
            try bench.tables.value.mapRange(
                pages(0xffff_a000_0000_0000 - 8192, 16384), to: memory(gib), permissions: .readWrite,
                using: &bench.source)
        }
        // 4 KiB before, 2 MiB pages, a 1 GiB page, 2 MiB pages, 4 KiB after.
        try failEachAllocation(needing: 5) { bench in
            let start = 0xffff_a000_0000_0000 + gib - 2 * mib - 4096
            try bench.tables.value.mapRange(
                pages(start, gib + 4 * mib + 8192), to: memory(2 * gib - 2 * mib - 4096), permissions: .readWrite,
                using: &bench.source)
        }
    }

    @Test func reservations() throws {
        try failEachAllocation(needing: 4) { bench in
            try bench.tables.value.reserveDemand(
                pages(areas + gib - 8192 + 2 * mib, 3 * mib), permissions: .readWrite, using: &bench.source)
        }
        try failEachAllocation(needing: 1) { bench in
            try bench.tables.value.reserveGuard(pages(areas + 2 * mib, 2 * mib), using: &bench.source)
        }
    }

    @Test func splitting() throws {
        func mapLarge(_ bench: Bench) throws {
            try bench.tables.value.mapRange(
                pages(0xffff_8880_0000_0000, 2 * gib), to: memory(gib), permissions: .readWrite, using: &bench.source)
        }
        let start: UInt = 0xffff_8880_0000_0000
        try failEachAllocation(needing: 2, prepare: mapLarge) { bench in
            try bench.tables.value.unmap(page(start + 4096), splitting: true, using: &bench.source)
        }
        try failEachAllocation(needing: 2, prepare: mapLarge) { bench in
            try bench.tables.value.protect(
                page(start + gib), permissions: .readOnly, splitting: true, using: &bench.source)
        }
        // Both edges lie within pages of 1 GiB, each in its own.
        try failEachAllocation(needing: 4, prepare: mapLarge) { bench in
            try bench.tables.value.protectRange(
                pages(start + 4096, 2 * gib - 8192), permissions: .readOnly, splitting: true, using: &bench.source)
        }
        // Two edges in one page of 2 MiB share its table.
        try failEachAllocation(needing: 2, prepare: mapLarge) { bench in
            try bench.tables.value.unmapRange(pages(start + 4096, 8192), splitting: true, using: &bench.source)
        }
    }

    @Test func permanentTables() throws {
        let alias = TopLevelAlias(original: page(0xffff_8880_0000_0000), alias: page(0x7f00_0000_0000))
        try failEachAllocation(needing: 1, alias: alias) { bench in
            try bench.tables.value.shareTopLevelEntry(using: &bench.source)
        }
        try failEachAllocation(needing: 3) { bench in
            try bench.tables.value.makePermanent(pages(areas - 512 * gib, 2048 * gib), using: &bench.source)
        }
    }
}
