import MemoryPrimitives
import Paging
import SimulatedMachine
import Testing

@Suite struct AuditTests {
    @Test func aCleanTreeIsCounted() throws {
        let alias = TopLevelAlias(original: page(0xffff_8880_0000_0000), alias: page(0x7f00_0000_0000))
        let bench = Bench(alias: alias)
        try bench.machine.run {
            try bench.tables.value.shareTopLevelEntry(using: &bench.source)
            try bench.tables.value.mapRange(
                VirtualRange(alias.original, alias.original + (gib + 4 * mib + 8192)), to: memory(0),
                permissions: .readWrite, using: &bench.source)
            try bench.tables.value.mapRange(
                pages(areas, 3 * 4096), to: memory(gib), permissions: .readExecute, using: &bench.source)
            try bench.tables.value.reserveGuard(pages(areas + 3 * 4096, 4096), using: &bench.source)
            try bench.tables.value.reserveDemand(
                pages(areas + 4 * 4096, 8192), permissions: .readWrite, using: &bench.source)
            try bench.tables.value.map(
                page(0x1000), to: memory(gib), permissions: [.read, .user], using: &bench.source)
            // Behind the alias too, and still one.
            try bench.tables.value.reserveGuard(
                VirtualRange(alias.original + 8 * gib, alias.original + (8 * gib + 4096)), using: &bench.source)
            let audit = bench.tables.value.audit()
            #expect(audit.pages1GiB == 1 && audit.pages2MiB == 2 && audit.pages4KiB == 6)
            #expect(audit.aliasedPages == 5 && audit.guardEntries == 2 && audit.demandEntries == 2)
            #expect(audit.writablePages == 5 && audit.executablePages == 3 && audit.userPages == 1)
            #expect(audit.tables == UInt(bench.pool.inUse) && audit.badEntries == 0)
            #expect(audit.mappedByteCount == gib + 4 * mib + 6 * 4096)
            #expect(audit.passes && audit.firstWritableExecutable == nil)
        }
    }

    @Test(arguments: [PageSize.size4KiB, .size2MiB, .size1GiB])
    func aWritableAndExecutablePageIsFound(size: PageSize) throws {
        let bench = Bench()
        try bench.machine.run {
            let all: [PagePermissions] = [.readOnly, [.read, .write, .execute], .readWrite, [.write, .execute]]
            for (index, permissions) in all.enumerated() {
                try bench.tables.value.map(
                    page(areas + UInt(index) * size.byteCount), to: memory(gib), size: size, permissions: permissions,
                    using: &bench.source)
            }
            let audit = bench.tables.value.audit()
            #expect(!audit.passes && audit.writableExecutablePages == 2)
            #expect(audit.firstWritableExecutable == page(areas + size.byteCount))
            // The level above forbids writing, and the audit sees it as the CPU does.
            let index = Int((areas >> 39) & 511)
            let entry = bench.machine.entry(at: bench.root, index)
            entry.store(entry.load() & ~2)
            #expect(bench.tables.value.audit().passes)
            #expect(bench.fault(at: page(areas + size.byteCount), .store) == .protection)
        }
    }

    @Test func withoutNoExecuteEverythingWritableIsExecutable() throws {
        let bench = Bench(features: PagingFeatures(noExecute: false, gigabytePages: true, globalPages: true))
        try bench.machine.run {
            try bench.tables.value.map(page(areas), to: memory(gib), permissions: .readWrite, using: &bench.source)
            #expect(bench.fault(at: page(areas), .fetch) == nil)
            #expect(bench.tables.value.audit().writableExecutablePages == 1)
        }
    }

    @Test func runsJoinEqualNeighbours() throws {
        let bench = Bench()
        try bench.machine.run {
            func map(_ offset: UInt, _ physical: UInt, _ permissions: PagePermissions) throws {
                try bench.tables.value.map(
                    page(areas + offset), to: memory(gib + physical), permissions: permissions, using: &bench.source)
            }
            try map(0, 0, .readWrite)
            try map(4096, 4096, .readWrite)
            try map(8192, 8192, .readOnly)
            try map(5 * 4096, 0, .readOnly)
            try map(6 * 4096, 5 * 4096, .readOnly)
            // The run crosses from one table into the next.
            try bench.tables.value.mapRange(
                pages(areas + gib - 8192, 16384), to: memory(gib), permissions: .readExecute, using: &bench.source)
            var runs: [LeafRun] = []
            bench.tables.value.forEachLeafRun { runs.append($0) }
            #expect(runs.map { $0.start.rawValue - areas } == [0, 8192, 5 * 4096, gib - 8192])
            #expect(runs.map { $0.last.rawValue - $0.start.rawValue + 1 } == [8192, 4096, 8192, 16384])
            #expect(runs.map(\.isContiguous) == [true, true, false, true])
            #expect(runs.map(\.permissions) == [.readWrite, .readOnly, .readOnly, .readExecute])
            #expect(runs.map(\.physical.rawValue) == [gib, gib + 8192, gib, gib])
        }
    }

    /// Each kind of damage is named, and the marks of the check are gone afterwards.
    @Test func invariantsNameTheDamage() throws {
        func damaged(
            _ rule: String, _ damage: (Bench, _ table: PhysicalAddress, _ parent: PhysicalAddress) throws -> Void
        )
            throws
        {
            let bench = Bench()
            try bench.machine.run {
                try bench.tables.value.mapRange(
                    pages(areas, 8192), to: memory(gib), permissions: .readWrite, using: &bench.source)
                try bench.tables.value.map(
                    page(areas + 2 * mib), to: memory(gib), size: .size2MiB, permissions: .readWrite,
                    using: &bench.source)
                try bench.tables.value.checkInvariants()
                var path = bench.root
                for shift: UInt in [39, 30] {
                    let entry = bench.machine.entry(at: path, Int((areas >> shift) & 511)).load()
                    path = PhysicalAddress(entry & 0x000f_ffff_ffff_f000)
                }
                let table = PhysicalAddress(bench.machine.entry(at: path, 0).load() & 0x000f_ffff_ffff_f000)
                try damage(bench, table, path)
                let before = bench.snapshot()
                do throws(InvariantViolation) {
                    try bench.tables.value.checkInvariants()
                    Issue.record("not found: \(rule)")
                } catch {
                    #expect("\(error.rule)" == rule)
                }
                #expect(bench.snapshot() == before)
            }
        }
        try damaged("the entries in use are counted") { bench, table, _ in
            bench.machine.entry(at: table, 1).store(0)
        }
        try damaged("an empty table is not kept") { bench, table, parent in
            bench.machine.entry(at: table, 0).store(0)
            bench.machine.entry(at: table, 1).store(0)
            let entry = bench.machine.entry(at: parent, 0)
            entry.store(entry.load() & ~(0x3ff << 52))
        }
        try damaged("a table is referenced once") { bench, _, parent in
            bench.machine.entry(at: parent, 7).store(bench.machine.entry(at: parent, 0).load())
        }
        try damaged("a table is referenced once") { bench, table, parent in
            // A circle.
            bench.machine.entry(at: parent, 7).store(parent.rawValue | 3)
        }
        try damaged("a page's memory is aligned to its size") { bench, _, parent in
            let entry = bench.machine.entry(at: parent, 1)
            entry.store(entry.load() | 0x4000)
        }
        try damaged("a leaf's bits 52 to 61 are clear") { bench, table, _ in
            let entry = bench.machine.entry(at: table, 1)
            entry.store(entry.load() | 1 << 52)
        }
        try damaged("a not-present entry is of a known kind") { bench, table, _ in
            bench.machine.entry(at: table, 1).store(0x2)
        }
        try damaged("only the registered alias shares tables") { bench, _, _ in
            bench.machine.entry(at: bench.root, 3).store(0x1003 | 1 << 10)
        }
        try damaged("the number of tables is counted") { bench, table, parent in
            bench.machine.entry(at: parent, 0).store(0)
            let index = Int((areas >> 39) & 511)
            let upper = PhysicalAddress(bench.machine.entry(at: bench.root, index).load() & 0x000f_ffff_ffff_f000)
            let entry = bench.machine.entry(at: upper, Int((areas >> 30) & 511))
            entry.store(entry.load() - 1 << 52)
        }
    }
}
