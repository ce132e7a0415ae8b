import MemoryPrimitives
import Paging
import SimulatedMachine
import Testing

/// Code that can be written through another page is found, wherever that page is and however large.
@Suite struct AliasAuditTests {
    private let directMap: UInt = 0xffff_8880_0000_0000

    private func audit(_ bench: Bench) -> AliasAudit { bench.tables.value.auditAliases() }

    @Test(arguments: [false, true]) func aWritableAliasOfCodeIsCounted(fiveLevels: Bool) throws {
        let bench = Bench(
            features: PagingFeatures(
                noExecute: true, gigabytePages: true, globalPages: true, fiveLevels: fiveLevels),
            alias: TopLevelAlias(original: page(directMap), alias: page(0x7f00_0000_0000)))
        try bench.machine.run {
            let tables = bench.tables
            try tables.value.shareTopLevelEntry(using: &bench.source)
            try tables.value.mapRange(
                pages(areas, 12 * 4096), to: memory(gib + 4096), permissions: .readExecute, using: &bench.source)
            #expect(audit(bench).passes)
            // Read-only, and memory beside the code: no harm.
            try tables.value.mapRange(
                pages(directMap + gib, 2 * mib), to: memory(gib), permissions: .readOnly, using: &bench.source)
            try tables.value.map(
                page(areas + gib), to: memory(gib + 13 * 4096), permissions: .readWrite, using: &bench.source)
            try tables.value.map(page(areas + 2 * gib), to: memory(gib), permissions: .readWrite, using: &bench.source)
            #expect(audit(bench).passes && audit(bench).first == nil)
            // A large page over all of it, at the direct map and at its alias.
            try tables.value.protect(
                page(directMap + gib), size: .size2MiB, permissions: .readWrite, using: &bench.source)
            #expect(audit(bench).writableAliases == 2 && audit(bench).first == page(directMap + gib))
            try tables.value.protect(
                page(directMap + gib), size: .size2MiB, permissions: .readOnly, using: &bench.source)
            // One small page of many.
            try tables.value.protect(
                page(directMap + gib + 12 * 4096), permissions: .readWrite, splitting: true, using: &bench.source)
            #expect(audit(bench).writableAliases == 2 && audit(bench).first == page(directMap + gib + 12 * 4096))
            #expect(!audit(bench).passes && tables.value.audit().passes, "no single page is both")
        }
    }

    @Test func moreRangesOfCodeThanAreLookedAtTogether() throws {
        let bench = Bench()
        try bench.machine.run {
            for index in 0..<UInt(40) {
                try bench.tables.value.map(
                    page(areas + 8192 * index), to: memory(gib + 8192 * index), permissions: .readExecute,
                    using: &bench.source)
            }
            #expect(audit(bench).passes)
            for index: UInt in [0, 15, 16, 17, 31, 32, 39] {
                try bench.tables.value.map(
                    page(areas + gib), to: memory(gib + 8192 * index), permissions: .readWrite, using: &bench.source)
                #expect(audit(bench).writableAliases == 1 && audit(bench).first == page(areas + gib), "code \(index)")
                try bench.tables.value.unmap(page(areas + gib), using: &bench.source)
            }
            #expect(audit(bench).passes)
        }
    }

    @Test func aUserPageInTheKernelsHalfIsCounted() throws {
        let bench = Bench()
        try bench.machine.run {
            try bench.tables.value.map(
                page(0x1000), to: memory(gib), permissions: [.read, .user], using: &bench.source)
            try bench.tables.value.mapRange(
                pages(areas, 8192), to: memory(gib), permissions: .readWrite, using: &bench.source)
            #expect(audit(bench).passes)
            // No call makes such a page: the user bits are planted, at each level.
            var table = bench.root
            for level in (0..<4).reversed() {
                let entry = bench.machine.entry(at: table, Int((areas >> (12 + 9 * UInt(level))) & 511))
                #expect(audit(bench).userPagesOfKernel == 0)
                entry.store(entry.load() | 4)
                table = PhysicalAddress(entry.load() & 0x000f_ffff_ffff_f000)
            }
            #expect(audit(bench).userPagesOfKernel == 1 && !audit(bench).passes)
        }
    }
}
