import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import Paging

/// Small pages become large ones again: which, and what nobody may notice of it.
@Suite struct CollapseTests {
    private static let writeCombining = PagePermissions.readWrite.cached(.writeCombining)

    /// 2 MiB of small pages.
    private func split(_ bench: Bench, _ permissions: PagePermissions = .readWrite, at start: UInt = areas) throws {
        try bench.tables.value.mapRange(
            pages(start, 2 * mib), to: memory(gib), permissions: permissions, using: &bench.source)
        try bench.tables.value.adjustRange(pages(start, 4096), using: &bench.source)
        #expect(bench.tables.value.translate(page(start))?.size == .size4KiB)
    }

    @Test(arguments: [PagePermissions.readWrite, .readOnly, .readExecute, writeCombining])
    func whatWasSplitIsMergedWithAllItsAttributes(permissions: PagePermissions) throws {
        let bench = Bench()
        try bench.machine.run {
            try split(bench, permissions)
            let tables = bench.pool.inUse
            #expect(try bench.tables.value.collapse(pages(areas, 2 * mib), using: &bench.source) == 1)
            #expect(
                bench.tables.value.translate(page(areas + mib))
                    == Translation(physical: memory(gib + mib), size: .size2MiB, permissions: permissions))
            #expect(bench.pool.inUse == tables - 1)
            try bench.tables.value.checkInvariants()
            #expect(bench.reads(page(areas + mib), from: memory(gib + mib)))
        }
    }

    @Test func aGibibyteIsMergedFromSmallPagesWhereTheCPUHasIt() throws {
        for gigabytePages in [true, false] {
            let bench = Bench(
                features: PagingFeatures(noExecute: true, gigabytePages: gigabytePages, globalPages: true))
            try bench.machine.run {
                let all = pages(areas, gib)
                // By two calls, so that no table sees it as one.
                for offset in stride(from: UInt(0), to: gib, by: Int(2 * mib)) {
                    try bench.tables.value.mapRange(
                        pages(areas + offset, mib), to: memory(gib + offset), permissions: .readWrite,
                        using: &bench.source)
                    try bench.tables.value.mapRange(
                        pages(areas + offset + mib, mib), to: memory(gib + offset + mib), permissions: .readWrite,
                        using: &bench.source)
                }
                #expect(bench.pool.inUse == 3 + 512)
                let replaced = try bench.tables.value.collapse(all, using: &bench.source)
                #expect(replaced == (gigabytePages ? 513 : 512))
                #expect(bench.tables.value.translate(page(areas))?.size == (gigabytePages ? .size1GiB : .size2MiB))
                #expect(bench.pool.inUse == (gigabytePages ? 2 : 3))
                try bench.tables.value.checkInvariants()
            }
        }
    }

    @Test func whatIsNotOnePageInAllButNameStays() throws {
        let changes: [(String, (Bench) throws -> Void)] = [
            (
                "a page of other permissions",
                { bench in
                    try bench.tables.value.protect(
                        page(areas + 9 * 4096), permissions: .readOnly, using: &bench.source)
                }
            ),
            (
                "a page of another cache mode",
                { bench in
                    try bench.tables.value.protect(
                        page(areas + 9 * 4096), permissions: .readWrite.cached(.uncached), using: &bench.source)
                }
            ),
            ("a hole", { bench in try bench.tables.value.unmap(page(areas + 511 * 4096), using: &bench.source) }),
            (
                "a guard page",
                { bench in
                    try bench.tables.value.unmap(page(areas), using: &bench.source)
                    try bench.tables.value.reserveGuard(pages(areas, 4096), using: &bench.source)
                }
            ),
            (
                "a page from elsewhere",
                { bench in
                    try bench.tables.value.unmap(page(areas + 4096), using: &bench.source)
                    try bench.tables.value.map(
                        page(areas + 4096), to: memory(2 * gib), permissions: .readWrite, using: &bench.source)
                }
            ),
        ]
        for (what, change) in changes {
            let bench = Bench()
            try bench.machine.run {
                try split(bench)
                try change(bench)
                let before = bench.snapshot()
                let flushes = bench.machine.fullFlushCount
                #expect(try bench.tables.value.collapse(pages(areas, 2 * mib), using: &bench.source) == 0, "\(what)")
                #expect(bench.snapshot() == before && bench.machine.fullFlushCount == flushes, "\(what)")
            }
        }
    }

    @Test func misalignedMemoryAndPartsOfATableStay() throws {
        let bench = Bench()
        try bench.machine.run {
            try bench.tables.value.mapRange(
                pages(areas, 2 * mib), to: memory(gib + 4096), permissions: .readWrite, using: &bench.source)
            #expect(try bench.tables.value.collapse(pages(areas, 2 * mib), using: &bench.source) == 0)
            try split(bench, at: areas + 2 * mib)
            for range in [pages(areas + 2 * mib, 2 * mib - 4096), pages(areas + 2 * mib + 4096, 4 * mib)] {
                #expect(try bench.tables.value.collapse(range, using: &bench.source) == 0)
            }
            #expect(try bench.tables.value.collapse(pages(areas + 4096, 8 * gib), using: &bench.source) == 1)
        }
    }

    /// Each small page may be in the TLB by itself: a flush of the large page's address leaves all but one.
    @Test func noCPUKeepsASmallPageThatTheLargeOneWouldNotFlush() throws {
        let bench = Bench(cpus: 2)
        try bench.machine.run {
            try split(bench)
            for offset in stride(from: UInt(0), to: 2 * mib, by: Int(64 * kib)) {
                _ = try bench.machine.load(page(areas + offset), onCPU: 1)
            }
            try bench.tables.value.collapse(pages(areas, 2 * mib), using: &bench.source)
            try bench.tables.value.unmap(page(areas), size: .size2MiB, using: &bench.source)
            for offset in stride(from: UInt(0), to: 2 * mib, by: Int(64 * kib)) {
                #expect(throws: SimulatedFault.self) { try bench.machine.load(page(areas + offset), onCPU: 1) }
            }
            #expect(bench.machine.takeStaleTranslations() == [])
            #expect(bench.machine.cachedPages(leadingInto: PhysicalRange(memory(gib), memory(2 * gib))) == [])
        }
    }

    @Test func mistakesAreRefused() throws {
        let alias = TopLevelAlias(original: page(0xffff_8880_0000_0000), alias: page(0x7f00_0000_0000))
        let bench = Bench(alias: alias)
        try bench.machine.run {
            try bench.tables.value.shareTopLevelEntry(using: &bench.source)
            let tables = bench.tables
            #expect(throws: PagingError.misaligned) {
                try tables.value.collapse(pages(areas + 8, 2 * mib), using: &bench.source)
            }
            #expect(throws: PagingError.notCanonical) {
                try tables.value.collapse(pages(0x7fff_ffff_f000, 8192), using: &bench.source)
            }
            #expect(throws: PagingError.sharedSubtree) {
                try tables.value.collapse(pages(0x7f00_0000_0000, 2 * mib), using: &bench.source)
            }
            #expect(try tables.value.collapse(pages(areas, 0), using: &bench.source) == 0)
            try split(bench, at: 0xffff_8880_0000_0000)
            #expect(bench.reads(page(0x7f00_0000_0000 + mib), from: memory(gib + mib)))
            #expect(try tables.value.collapse(pages(0xffff_8880_0000_0000, gib), using: &bench.source) == 1)
            try tables.value.unmap(page(0xffff_8880_0000_0000), size: .size2MiB, using: &bench.source)
            #expect(bench.fault(at: page(0x7f00_0000_0000 + mib)) == .notPresent)
            #expect(bench.machine.takeStaleTranslations() == [])
            try tables.value.checkInvariants()
        }
    }
}
