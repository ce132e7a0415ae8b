import MemoryPrimitives
import Paging
import SimulatedMachine
import Testing

/// Two slots of the top-level table that share what is below them.
@Suite struct AliasTests {
    private let original: UInt = 0xffff_8880_0000_0000
    private let alias: UInt = 0x7f00_0000_0000

    private func bench(cpus: Int = 1) -> Bench {
        Bench(cpus: cpus, alias: TopLevelAlias(original: page(original), alias: page(alias)))
    }

    @Test func bothAddressesReachTheSameMemoryAndAreFlushed() throws {
        let bench = bench(cpus: 2)
        try bench.machine.run {
            try bench.tables.value.shareTopLevelEntry(using: &bench.source)
            try bench.tables.value.mapRange(
                pages(original, 2 * gib), to: memory(0), permissions: .readWrite, using: &bench.source)
            try bench.tables.value.checkInvariants()
            #expect(bench.reads(page(alias + gib + 8), from: memory(gib + 8)))
            #expect(bench.fault(at: page(alias), .load, asUser: true) == .protection)
            #expect(bench.tables.value.translate(page(alias + gib))?.physical == memory(gib))
            for cpu in 0..<2 { _ = try bench.machine.load(page(alias + gib), onCPU: cpu) }
            try bench.tables.value.protect(
                page(original + gib), permissions: .readOnly, splitting: true, using: &bench.source)
            for cpu in 0..<2 { _ = try bench.machine.load(page(alias + gib), onCPU: cpu) }
            #expect(bench.fault(at: page(alias + gib), .store) == .protection)
            #expect(bench.reads(page(alias + gib + 4096), from: memory(gib + 4096)))
            try bench.tables.value.unmap(page(original + gib), using: &bench.source)
            #expect(bench.fault(at: page(alias + gib)) == .notPresent)
            // More than a batch: everything is flushed.
            try bench.tables.value.unmapRange(pages(original + gib + 4096, gib - 4096), using: &bench.source)
            #expect(bench.fault(at: page(alias + gib + 4096)) == .notPresent)
            try bench.tables.value.unmapRange(pages(original, gib), using: &bench.source)
            #expect(bench.machine.takeStaleTranslations() == [])
            // The shared table stays although it is empty.
            #expect(bench.pool.inUse == 2 && bench.tables.value.tableCount == 1)
            try bench.tables.value.checkInvariants()
            try bench.tables.value.map(page(original), to: memory(gib), permissions: .readWrite, using: &bench.source)
            #expect(bench.reads(page(alias), from: memory(gib)))
        }
    }

    @Test func theAliasIsChangedThroughItsOriginalOnly() throws {
        let bench = bench()
        try bench.machine.run {
            try bench.tables.value.shareTopLevelEntry(using: &bench.source)
            try bench.tables.value.map(page(original), to: memory(gib), permissions: .readWrite, using: &bench.source)
            let before = bench.snapshot()
            let address = page(alias)
            let range = pages(alias, 8192)
            let tables = bench.tables
            #expect(throws: PagingError.sharedSubtree) {
                try tables.value.map(address + 4096, to: memory(0), permissions: .readOnly, using: &bench.source)
            }
            #expect(throws: PagingError.sharedSubtree) { try tables.value.unmap(address, using: &bench.source) }
            #expect(throws: PagingError.sharedSubtree) {
                try tables.value.protect(address, permissions: .readOnly, using: &bench.source)
            }
            #expect(throws: PagingError.sharedSubtree) {
                try tables.value.clear(range, using: &bench.source) { _, _ in Issue.record("a frame was visited") }
            }
            #expect(throws: PagingError.sharedSubtree) {
                try tables.value.clear(pages(alias - 8192, 512 * gib), using: &bench.source) { _, _ in }
            }
            #expect(throws: PagingError.alreadyMapped) { try tables.value.shareTopLevelEntry(using: &bench.source) }
            #expect(bench.snapshot() == before)
        }
    }

    @Test func aSlotInUseIsNotReplaced() throws {
        let bench = bench()
        try bench.machine.run {
            try bench.tables.value.map(page(alias), to: memory(gib), permissions: .readWrite, using: &bench.source)
            let before = bench.snapshot()
            #expect(throws: PagingError.alreadyMapped) {
                try bench.tables.value.shareTopLevelEntry(using: &bench.source)
            }
            #expect(bench.snapshot() == before)
        }
    }

    @Test func permanentTablesStay() throws {
        let bench = bench()
        try bench.machine.run {
            try bench.tables.value.makePermanent(pages(areas, 1024 * gib), using: &bench.source)
            #expect(bench.tables.value.tableCount == 2)
            try bench.tables.value.map(page(areas), to: memory(gib), permissions: .readWrite, using: &bench.source)
            try bench.tables.value.unmap(page(areas), using: &bench.source)
            #expect(bench.tables.value.tableCount == 2)
            try bench.tables.value.checkInvariants()
            #expect(throws: PagingError.notCanonical) {
                try bench.tables.value.makePermanent(pages(0x1000, 1 << 47), using: &bench.source)
            }
        }
    }
}
