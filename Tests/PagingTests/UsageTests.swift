import MemoryPrimitives
import Paging
import SimulatedMachine
import Testing

/// Accessed and dirty bits: read, cleared, and set again by the next use, on every CPU.
@Suite struct UsageTests {
    private static let sizes: [PageSize] = [.size4KiB, .size2MiB, .size1GiB]

    /// Which pages had which notes.
    private func cleared(_ bench: Bench, _ notes: PageUsage, _ range: VirtualRange) throws -> [UInt: PageUsage] {
        var found: [UInt: PageUsage] = [:]
        try bench.tables.value.clearUsage(notes, in: range) { address, _, usage in found[address.rawValue] = usage }
        return found
    }

    @Test(arguments: sizes) func theNextUseIsNotedAgainOnEachCPU(size: PageSize) throws {
        let bench = Bench(cpus: 2)
        try bench.machine.run {
            let tables = bench.tables
            let all = pages(areas, size.byteCount)
            try tables.value.map(
                page(areas), to: memory(gib), size: size, permissions: .readWrite, using: &bench.source)
            #expect(tables.value.usage(of: page(areas + 5)) == .accessed | .dirty, "nothing for the CPU to write")
            for cpu in 0..<2 { try bench.machine.store(UInt8(1), to: page(areas), onCPU: cpu) }
            #expect(try cleared(bench, .accessed | .dirty, all) == [areas: .accessed | .dirty])
            #expect(tables.value.usage(of: page(areas)) == PageUsage.none)
            #expect(try cleared(bench, .accessed | .dirty, all) == [:])
            for cpu in 0..<2 {
                _ = try bench.machine.load(page(areas), as: UInt8.self, onCPU: cpu)
                #expect(tables.value.usage(of: page(areas)) == .accessed, "a load notes no write")
                try bench.machine.store(UInt8(1), to: page(areas), onCPU: cpu)
                #expect(tables.value.usage(of: page(areas)) == .accessed | .dirty)
                #expect(try cleared(bench, .dirty, all) == [areas: .dirty])
                #expect(tables.value.usage(of: page(areas)) == .accessed, "only what was asked for is cleared")
                #expect(try cleared(bench, .accessed, all) == [areas: .accessed])
            }
            #expect(bench.machine.takeStaleTranslations() == [])
            try tables.value.checkInvariants()
        }
    }

    @Test func aReadOnlyPageIsCleanAndKeepsWhatItWas() throws {
        let bench = Bench()
        try bench.machine.run {
            let tables = bench.tables
            try tables.value.map(page(areas), to: memory(gib), permissions: .readOnly, using: &bench.source)
            #expect(tables.value.usage(of: page(areas)) == .accessed)
            try tables.value.protect(page(areas), permissions: .readWrite, using: &bench.source)
            #expect(tables.value.usage(of: page(areas)) == .accessed | .dirty)
            try tables.value.protect(page(areas), permissions: .readOnly, using: &bench.source)
            #expect(tables.value.usage(of: page(areas)) == .accessed | .dirty, "what was written stays written")
            try tables.value.clearUsage(.dirty, in: pages(areas, 4096))
            try tables.value.protect(page(areas), permissions: .readExecute, using: &bench.source)
            #expect(tables.value.usage(of: page(areas)) == .accessed)
        }
    }

    @Test func splittingAndMergingForgetNoWrite() throws {
        let bench = Bench()
        try bench.machine.run {
            let tables = bench.tables
            let all = pages(areas, 2 * mib)
            try tables.value.mapRange(all, to: memory(gib), permissions: .readOnly, using: &bench.source)
            try tables.value.protectRange(all, permissions: .readWrite, using: &bench.source)
            try tables.value.protectRange(all, permissions: .readOnly, using: &bench.source)
            try tables.value.adjustRange(pages(areas, 4096), using: &bench.source)
            #expect(tables.value.translate(page(areas))?.size == .size4KiB)
            #expect(tables.value.usage(of: page(areas + mib)) == .accessed | .dirty)
            try tables.value.clearUsage(.accessed | .dirty, in: pages(areas + 4096, 2 * mib - 4096))
            #expect(tables.value.usage(of: page(areas + mib)) == PageUsage.none)
            #expect(try tables.value.collapse(all, using: &bench.source) == 1)
            #expect(tables.value.usage(of: page(areas + mib)) == .accessed | .dirty, "as its first page was")
        }
    }

    @Test func gapsAreSkippedAndPagesAcrossTheEdgesCleared() throws {
        let bench = Bench()
        try bench.machine.run {
            let tables = bench.tables
            try tables.value.mapRange(
                pages(areas, 4 * mib), to: memory(gib), permissions: .readWrite, using: &bench.source)
            try tables.value.mapRange(
                pages(areas + gib, 8192), to: memory(gib), permissions: .readWrite, using: &bench.source)
            try tables.value.reserveGuard(pages(areas + gib + 8192, 4096), using: &bench.source)
            try tables.value.reserveDemand(
                pages(areas + gib + 12288, 4096), permissions: .readWrite, using: &bench.source)
            let flushes = bench.machine.flushRoundCount
            let found = try cleared(bench, .dirty, pages(areas + 3 * mib, 2 * gib))
            #expect(found == [areas + 2 * mib: .dirty, areas + gib: .dirty, areas + gib + 4096: .dirty])
            #expect(bench.machine.flushRoundCount == flushes + 1, "one round for all of them")
            #expect(tables.value.usage(of: page(areas)) == .accessed | .dirty)
            #expect(tables.value.usage(of: page(areas + gib + 8192)) == nil)
            #expect(throws: PagingError.misaligned) {
                try tables.value.clearUsage(.dirty, in: pages(areas + 1, 4096))
            }
            #expect(throws: PagingError.notCanonical) {
                try tables.value.clearUsage(.dirty, in: pages(0x7fff_ffff_f000, 8192))
            }
        }
    }
}
