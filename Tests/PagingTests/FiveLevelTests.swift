import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import Paging

/// The same code with one level more: what is reached, what is refused, and what is shared.
@Suite struct FiveLevelTests {
    private static var features: PagingFeatures {
        PagingFeatures(noExecute: true, gigabytePages: true, globalPages: true, fiveLevels: true)
    }

    /// Both ends of both halves.
    private static let ends: [UInt] = [
        0x1000, 0x0000_8000_0000_0000, 0x00ff_ffff_ffff_f000, 0xff00_0000_0000_0000, 0xffff_7fff_ffff_f000,
        0xffff_8000_0000_0000, 0xffff_ffff_ffff_f000,
    ]

    @Test(arguments: ends) func everyAddressOf57BitsIsReached(address: UInt) throws {
        let bench = Bench(features: Self.features)
        try bench.machine.run {
            try bench.tables.value.map(page(address), to: memory(gib), permissions: .readWrite, using: &bench.source)
            #expect(bench.pool.inUse == 5 && bench.tables.value.tableCount == 4 && bench.tables.value.levels == 5)
            #expect(bench.reads(page(address + 8), from: memory(gib + 8)))
            #expect(bench.tables.value.translate(page(address + 8))?.physical == memory(gib + 8))
            let audit = bench.tables.value.audit()
            #expect(audit.tables == 5 && audit.pages4KiB == 1 && audit.passes)
            var found: [VirtualAddress] = []
            bench.tables.value.forEachLeafRun { found.append($0.start) }
            #expect(found == [page(address)])
            try bench.tables.value.checkInvariants()
            try bench.tables.value.unmap(page(address), using: &bench.source)
            #expect(bench.fault(at: page(address)) == .notPresent)
            #expect(bench.pool.inUse == 1)
            #expect(bench.machine.takeStaleTranslations() == [])
        }
    }

    @Test func fourLevelsRefuseWhatOnlyFiveReach() throws {
        let four = Bench()
        let five = Bench(features: Self.features)
        for address in Self.ends where !page(address).isCanonical {
            four.machine.run {
                #expect(throws: PagingError.notCanonical) {
                    try four.tables.value.map(
                        page(address), to: memory(gib), permissions: .readWrite, using: &four.source)
                }
                #expect(four.tables.value.lookup(page(address)) == .none)
                #expect(four.fault(at: page(address)) == .notCanonical)
            }
            #expect(five.machine.run { five.fault(at: page(address)) } == .notPresent)
        }
        for hole: UInt in [0x0100_0000_0000_0000, 0xfeff_ffff_ffff_f000, 0x8000_0000_0000_0000] {
            five.machine.run {
                #expect(throws: PagingError.notCanonical) {
                    try five.tables.value.map(
                        page(hole), to: memory(gib), permissions: .readWrite, using: &five.source)
                }
                #expect(five.fault(at: page(hole)) == .notCanonical)
            }
        }
        _ = five.machine.run {
            #expect(throws: PagingError.notCanonical) {
                try five.tables.value.mapRange(
                    pages(0x00ff_ffff_ffff_f000, 8192), to: memory(gib), permissions: .readWrite, using: &five.source)
            }
        }
        #expect(five.pool.inUse == 1 && four.pool.inUse == 1)
    }

    @Test func eachTableThatIsMissingFailsInTurn() throws {
        let bench = Bench(features: Self.features)
        try bench.machine.run {
            // The last pages of one slot of the root and the first of the next: three tables for each, and the root's two.
            let range = pages(0x0001_0000_0000_0000 - 8192, 16384)
            for budget in 0..<8 {
                bench.pool.limit(to: budget)
                #expect(throws: PagingError.outOfTables) {
                    try bench.tables.value.mapRange(
                        range, to: memory(gib), permissions: .readWrite, using: &bench.source)
                }
                #expect(bench.pool.inUse == 1 && bench.tables.value.tableCount == 0)
            }
            bench.pool.limit(to: 8)
            try bench.tables.value.mapRange(range, to: memory(gib), permissions: .readWrite, using: &bench.source)
            try bench.tables.value.checkInvariants()
            try bench.tables.value.clear(range, using: &bench.source) { _, _ in }
            #expect(bench.pool.inUse == 1 && bench.machine.takeStaleTranslations() == [])
        }
    }

    @Test func theAliasSharesTablesBelowTwoSlotsOfTheRoot() throws {
        let (original, alias): (UInt, UInt) = (0xffff_8880_0000_0000, 0x7f00_0000_0000)
        let bench = Bench(
            cpus: 2, features: Self.features, alias: TopLevelAlias(original: page(original), alias: page(alias)))
        try bench.machine.run {
            for budget in 0..<3 {
                bench.pool.limit(to: budget)
                #expect(throws: PagingError.outOfTables) {
                    try bench.tables.value.shareTopLevelEntry(using: &bench.source)
                }
                #expect(bench.pool.inUse == 1)
            }
            bench.pool.limit(to: 1000)
            try bench.tables.value.shareTopLevelEntry(using: &bench.source)
            #expect(bench.pool.inUse == 4 && bench.tables.value.tableCount == 3)
            #expect(throws: PagingError.alreadyMapped) {
                try bench.tables.value.shareTopLevelEntry(using: &bench.source)
            }
            try bench.tables.value.mapRange(
                pages(original, gib + 4 * mib), to: memory(0), permissions: .readWrite, using: &bench.source)
            try bench.tables.value.checkInvariants()
            #expect(bench.reads(page(alias + gib + 8), from: memory(gib + 8)))
            let audit = bench.tables.value.audit()
            #expect(audit.pages1GiB == 1 && audit.pages2MiB == 2 && audit.aliasedPages == 3 && audit.passes)
            #expect(audit.tables == UInt(bench.pool.inUse))
            var runs: [LeafRun] = []
            bench.tables.value.forEachLeafRun { runs.append($0) }
            #expect(runs.map(\.alias) == [page(alias), page(alias + gib)], "walked once for both")
            for cpu in 0..<2 { _ = try bench.machine.load(page(alias + gib), onCPU: cpu) }
            try bench.tables.value.protect(
                page(original + gib), permissions: .readOnly, splitting: true, using: &bench.source)
            for cpu in 0..<2 {
                #expect(throws: SimulatedFault.self) {
                    try bench.machine.store(UInt64(1), to: page(alias + gib), onCPU: cpu)
                }
            }
            #expect(throws: PagingError.sharedSubtree) {
                try bench.tables.value.unmap(page(alias), size: .size1GiB, using: &bench.source)
            }
            #expect(bench.machine.takeStaleTranslations() == [])
        }
    }

    @Test func slotsOfTheRootCanBeKept() throws {
        let bench = Bench(features: Self.features)
        try bench.machine.run {
            try bench.tables.value.makePermanent(pages(0xff00_0000_0000_0000, 3 << 48), using: &bench.source)
            #expect(bench.tables.value.tableCount == 3)
            try bench.tables.value.map(
                page(0xff01_0000_0000_0000), to: memory(gib), permissions: .readWrite, using: &bench.source)
            try bench.tables.value.unmap(page(0xff01_0000_0000_0000), using: &bench.source)
            #expect(bench.tables.value.tableCount == 3)
            try bench.tables.value.checkInvariants()
        }
    }
}
