import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import Paging

/// The audit takes equal leaves of a table together. It must still see each of them.
@Suite struct AuditOfManyTests {
    /// Ends and middles of tables, and of the groups that a walk may take them in.
    static let positions = [0, 1, 2, 6, 7, 8, 9, 15, 16, 17, 255, 256, 257, 503, 504, 505, 509, 510, 511]

    private static let alias = TopLevelAlias(original: page(0xffff_8880_0000_0000), alias: page(0x7f00_0000_0000))

    /// A change of a leaf that makes it another than its neighbours, and what the audit is to find.
    struct Damage: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var apply: @Sendable (UInt) -> UInt
    }

    static let damages = [
        Damage(testDescription: "writable and executable") { $0 & ~(1 << 63) },
        Damage(testDescription: "for user code") { $0 | 4 },
        Damage(testDescription: "read-only") { $0 & ~0x42 },
        Damage(testDescription: "uncached") { $0 | 0x18 },
        Damage(testDescription: "other memory") { $0 + (8 << 30) },
        Damage(testDescription: "the memory before it again") { $0 - (2 << 20) },
        Damage(testDescription: "bits of no page address") { $0 | 0x4000 },
        Damage(testDescription: "an unknown kind") { _ in 0x800 },
        Damage(testDescription: "nothing") { _ in 0 },
    ]

    @Test(arguments: damages, [PageSize.size4KiB, .size2MiB])
    func oneLeafThatIsNotAsTheOthersIsFound(damage: Damage, size: PageSize) throws {
        let bench = Bench(features: PagingFeatures(noExecute: true, gigabytePages: false, globalPages: true))
        try bench.machine.run {
            // Three tables, with the leaf in the middle one.
            let span = 512 * size.byteCount
            for table in 0..<3 as Range<UInt> {
                for index in 0..<512 as Range<UInt> {
                    let offset = table * span + index * size.byteCount
                    try bench.tables.value.map(
                        page(areas + offset), to: memory(16 * gib + offset), size: size, permissions: .readWrite,
                        using: &bench.source)
                }
            }
            let table = try #require(bench.table(at: areas + span, level: Int(size.rawValue)))
            for position in Self.positions {
                let entry = bench.machine.entry(at: table, position)
                let intact = entry.load()
                entry.store(damage.apply(intact))
                expectReferenceAudit(bench, "position \(position)")
                entry.store(intact)
            }
            #expect(bench.tables.value.audit().passes)
            expectReferenceAudit(bench, "intact")
        }
    }

    @Test(arguments: [0, 1, 8, 100, 511])
    func aWritableAndExecutablePageIsFoundAtItsAliasToo(position: Int) throws {
        let bench = Bench(alias: Self.alias)
        try bench.machine.run {
            try bench.tables.value.shareTopLevelEntry(using: &bench.source)
            try bench.tables.value.mapRange(
                pages(Self.alias.original.rawValue, gib / 2), to: memory(gib), permissions: .readWrite,
                using: &bench.source)
            try bench.tables.value.mapRange(
                pages(Self.alias.original.rawValue + gib / 2, gib / 2), to: memory(2 * gib + gib / 2),
                permissions: .readWrite, using: &bench.source)
            let table = try #require(bench.table(at: Self.alias.original.rawValue, level: 1))
            let entry = bench.machine.entry(at: table, position)
            entry.store(entry.load() & ~(1 << 63))
            let audit = bench.tables.value.audit()
            let offset = UInt(position) * 2 * mib
            #expect(audit.writableExecutablePages == 2 && audit.executablePages == 1 && audit.writablePages == 512)
            #expect(audit.firstWritableExecutable == Self.alias.alias + offset)
            #expect(audit.aliasedPages == 512 && audit.pages2MiB == 512 && audit.tables == UInt(bench.pool.inUse))
            expectReferenceAudit(bench, "shared")
            // One between the alias and its original is met first, and is not the first.
            try bench.tables.value.map(
                Self.alias.alias + 512 * gib, to: memory(gib), permissions: [.read, .write, .execute],
                using: &bench.source)
            #expect(bench.tables.value.audit().firstWritableExecutable == Self.alias.alias + offset)
            expectReferenceAudit(bench, "shared, and one more")
            // An alias within the original, as only others would make it, is one at the alias too.
            let upper = try #require(bench.table(at: Self.alias.original.rawValue, level: 2))
            bench.machine.entry(at: upper, 5).store(bench.machine.entry(at: upper, 0).load() | 1 << 10)
            expectReferenceAudit(bench, "shared twice")
        }
    }

    /// Then the shared tables are walked once for each slot, because they mean something else in each.
    @Test func anAliasThatAllowsLessIsJudgedByItself() throws {
        let bench = Bench(alias: Self.alias)
        try bench.machine.run {
            try bench.tables.value.shareTopLevelEntry(using: &bench.source)
            try bench.tables.value.mapRange(
                pages(Self.alias.original.rawValue, 20 * mib), to: memory(gib), permissions: [.read, .write, .execute],
                using: &bench.source)
            let entry = bench.machine.entry(at: bench.root, Int((Self.alias.alias.rawValue >> 39) & 511))
            entry.store(entry.load() & ~2)
            let audit = bench.tables.value.audit()
            #expect(audit.writableExecutablePages == 10 && audit.aliasedPages == 10 && audit.pages2MiB == 10)
            #expect(audit.firstWritableExecutable == Self.alias.original)
            expectReferenceAudit(bench, "the alias is read-only")
            // And an alias of nothing that is here.
            let original = bench.machine.entry(at: bench.root, Int((Self.alias.original.rawValue >> 39) & 511))
            original.store(0)
            entry.store(entry.load() | 2)
            #expect(bench.tables.value.audit().firstWritableExecutable == Self.alias.alias)
            expectReferenceAudit(bench, "the alias alone")
        }
    }

    /// Neighbours in memory and in address, of which only some have an alias: no run says more than is so.
    @Test func aRunEndsWhereItsAliasDoes() throws {
        let bench = Bench(alias: Self.alias)
        try bench.machine.run {
            try bench.tables.value.shareTopLevelEntry(using: &bench.source)
            let original = Self.alias.original
            let around = [original - 4096, original, original + (512 * gib - 4096), original + 512 * gib]
            for (index, address) in around.enumerated() {
                try bench.tables.value.map(
                    address, to: memory(gib + UInt(index) * 4096), permissions: .readWrite, using: &bench.source)
            }
            var runs: [LeafRun] = []
            bench.tables.value.forEachLeafRun { runs.append($0) }
            #expect(runs.map(\.start) == around)
            #expect(runs.map(\.alias) == [nil, Self.alias.alias, Self.alias.alias + (512 * gib - 4096), nil])
        }
    }

    /// The sum that the next leaf is compared with must not carry from the address into the permissions.
    @Test func theLastPageThatAnEntryCanNameEndsWhatIsTakenTogether() throws {
        let bench = Bench()
        try bench.machine.run {
            try bench.tables.value.mapRange(
                pages(areas, 16 * 4096), to: memory(gib), permissions: .readWrite, using: &bench.source)
            let table = try #require(bench.table(at: areas, level: 0))
            // All address bits, and all above them: writable, not executable. The next is writable and executable.
            let last: UInt = 0xffff_ffff_ffff_f063
            bench.machine.entry(at: table, 3).store(last)
            bench.machine.entry(at: table, 4).store(last &+ 4096)
            #expect(last &+ 4096 == 0x63)
            let audit = bench.tables.value.audit()
            #expect(audit.writableExecutablePages == 1 && audit.firstWritableExecutable == page(areas + 4 * 4096))
            expectReferenceAudit(bench, "carry")
        }
    }

    /// Tables that are made up: series of any length, at any place, of any permissions, and noise between.
    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func randomTablesAreAuditedAsEntryByEntry(seed: UInt64) throws {
        var random = SeededGenerator.fromEnvironment(default: seed)
        let bench = Bench(alias: Self.alias)
        try bench.machine.run {
            try bench.tables.value.shareTopLevelEntry(using: &bench.source)
            for start in [Self.alias.original.rawValue, Self.alias.original.rawValue + 3 * gib, areas] {
                for offset in [0, 2 * mib, 512 * mib] {
                    try bench.tables.value.map(
                        page(start + offset), to: memory(gib), permissions: .readWrite, using: &bench.source)
                }
            }
            let leafTables = [Self.alias.original.rawValue, Self.alias.original.rawValue + 3 * gib, areas].flatMap {
                start in
                [0, 2 * mib, 512 * mib].compactMap { bench.table(at: start + $0, level: 0) }
            }
            let upperTable = try #require(bench.table(at: areas, level: 1))
            for round in 0..<20 {
                for table in leafTables { scribble(bench, table, 0..<512, 4096, &random) }
                // Between the references to the tables.
                scribble(bench, upperTable, 2..<256, 2 * mib, &random)
                expectReferenceAudit(bench, "round \(round), seed \(random.seed)")
            }
        }
    }

    private func scribble(
        _ bench: Bench, _ table: PhysicalAddress, _ part: Range<Int>, _ size: UInt, _ random: inout SeededGenerator
    ) {
        let large: UInt = size == 4096 ? 0 : 0x80
        var position = part.lowerBound
        while position < part.upperBound {
            let count = [1, 2, 7, 8, 9, 30, 64, 200].randomElement(using: &random)!
            let frame = UInt.random(in: 0..<64, using: &random) * size
            let entry: UInt = [
                0, 0x800, 0x200 | 0x8000_0000_0000_0042, frame | large | 0x8000_0000_0000_0163,
                frame | large | 0x8000_0000_0000_0163, frame | large | 0x121, frame | large | 0x163,
                frame | large | 0x8000_0000_0000_0167,
                // Bits of no page address where the page is large.
                frame | large | 0x8000_0000_0000_4163,
            ].randomElement(using: &random)!
            let difference = entry & 1 == 0 || Int.random(in: 0..<8, using: &random) == 0 ? 0 : size
            for index in 0..<min(count, part.upperBound - position) {
                bench.machine.entry(at: table, position + index).store(entry + UInt(index) * difference)
            }
            position += count
        }
    }
}

extension TestBench {
    /// The table at `level` on the path to `address`.
    func table(at address: UInt, level: Int) -> PhysicalAddress? {
        var frame = root
        for above in stride(from: 3, to: level, by: -1) {
            let entry = machine.entry(at: frame, Int((address >> (12 + 9 * UInt(above))) & 511)).load()
            if entry & 1 == 0 { return nil }
            frame = PhysicalAddress(entry & 0x000f_ffff_ffff_f000)
        }
        return frame
    }
}

/// Compares the audit's counts, and its runs page by page, with what `ReferenceAudit` says; and that no two runs could
/// have been one.
func expectReferenceAudit(_ bench: Bench, _ what: String, _ location: SourceLocation = #_sourceLocation) {
    let expected = ReferenceAudit(bench)
    var runs: [LeafRun] = []
    let audit = bench.tables.value.audit { runs.append($0) }
    var pages: [UInt: ReferenceAudit.Page] = [:]
    for run in runs {
        var offset: UInt = 0
        while offset <= run.last.rawValue &- run.start.rawValue {
            for start in [run.start, run.alias].compactMap(\.self) {
                let address = start.rawValue &+ offset
                // Where a run is not contiguous in memory, it names the first page's only.
                let physical =
                    run.isContiguous || offset == 0
                    ? run.physical.rawValue + offset : expected.pages[address]?.physical ?? 0
                #expect(pages[address] == nil, "listed twice", sourceLocation: location)
                pages[address] = ReferenceAudit.Page(
                    physical: physical, size: run.size, permissions: run.permissions)
            }
            offset += run.size.byteCount
        }
    }
    for (one, next) in zip(runs, runs.dropFirst()) {
        #expect(one.last < next.start, "out of order, \(what)", sourceLocation: location)
        let couldJoin =
            one.last.rawValue &+ 1 == next.start.rawValue && one.size == next.size
            && one.permissions == next.permissions && (one.alias == nil) == (next.alias == nil)
        #expect(!couldJoin, "\(one) and \(next) are one, \(what)", sourceLocation: location)
    }
    let isSame = pages == expected.pages
    #expect(isSame, "the runs are not what is mapped, \(what)", sourceLocation: location)
    let counts = [
        audit.tables, audit.aliasedPages, audit.demandEntries, audit.guardEntries, audit.writablePages,
        audit.executablePages, audit.userPages, audit.badEntries, audit.writableExecutablePages,
        audit.pages4KiB + audit.pages2MiB + audit.pages1GiB,
    ]
    let expectedCounts = [
        expected.tables, expected.aliased, expected.demand, expected.guards, expected.writable, expected.executable,
        expected.user, expected.bad, UInt(expected.writableExecutable.count),
        UInt(expected.pages.count) - expected.aliased,
    ]
    #expect(counts == expectedCounts, "\(what)", sourceLocation: location)
    #expect(
        audit.firstWritableExecutable?.rawValue == expected.writableExecutable.min(), "\(what)",
        sourceLocation: location)
}
