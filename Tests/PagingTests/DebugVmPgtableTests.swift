import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import Paging

/// The assertions of Linux's mm/debug_vm_pgtable.c, one test by each of its names that applies here. pte, pmd and pud are the
/// entries of pages of 4 KiB, 2 MiB and 1 GiB; p4d and pgd are those of the two levels above, which map no pages.
///
/// Not here, because the kernel has nothing like it: pte_protnone, pmd_protnone, the soft dirty bits, swap and migration
/// entries. pte_special marks pages that have no page structure: here a frame that is no RAM has no mark in its entry.
/// `EntryAlgebraTests` says the same laws of all permissions at once.
@Suite struct DebugVmPgtableTests {
    /// An entry of one size, changed as Linux changes entries.
    private struct Entry: Equatable {
        var entry: PageTableEntry
        let size: PageSize

        init(_ permissions: PagePermissions, _ size: PageSize) {
            entry = PageTableEntry(leaf: memory(3 * gib), size: size, permissions: permissions, features: .all)
            self.size = size
        }

        var permissions: PagePermissions { entry.permissions(size: size) }

        private func with(_ permissions: PagePermissions) -> Entry {
            var result = self
            result.entry = entry.withPermissions(permissions, size: size, features: .all)
            return result
        }

        private func noting(_ notes: PageUsage, _ isSet: Bool) -> Entry {
            var result = self
            result.entry.rawValue &= ~notes.entryBits
            if isSet { result.entry.rawValue |= notes.entryBits }
            return result
        }

        var mkwrite: Entry { with(permissions.union(.write)) }
        var wrprotect: Entry { with(permissions.subtracting(.write)) }
        var mkyoung: Entry { noting(.accessed, true) }
        var mkold: Entry { noting(.accessed, false) }
        var mkdirty: Entry { noting(.dirty, true) }
        var mkclean: Entry { noting(.dirty, false) }
        var isWritable: Bool { entry.isWritable }
        var isYoung: Bool { entry.isAccessed }
        var isDirty: Bool { entry.isDirty }
        var isLeaf: Bool { entry.isLeaf(atLevel: Int(size.rawValue)) }
        /// Linux's `pxx_bad`: whatever references no table.
        var isBad: Bool { !entry.referencesTable(atLevel: Int(size.rawValue)) }
    }

    private static let protections: [PagePermissions] = [
        .read, .readOnly, .readWrite, .readExecute, .read | .user, .read | .write | .user, .read | .execute | .user,
        .readWrite.cached(.uncached), .readWrite.cached(.writeCombining),
    ]

    private func basic(_ size: PageSize) {
        for protection in Self.protections {
            let entry = Entry(protection, size)
            // Linux: no protection makes an entry dirty. Here one that allows writing is made dirty, so that the CPU has
            // nothing to note; one that does not is clean.
            #expect(entry.isDirty == protection.contains(.write))
            #expect(entry == entry)
            #expect(entry.mkold.mkyoung.isYoung)
            #expect(entry.mkclean.mkdirty.isDirty)
            #expect(entry.wrprotect.mkwrite.isWritable)
            #expect(!entry.mkyoung.mkold.isYoung)
            #expect(!entry.mkdirty.mkclean.isDirty)
            #expect(!entry.mkwrite.wrprotect.isWritable)
            #expect(!entry.mkclean.wrprotect.isDirty)
            #expect(entry.mkdirty.wrprotect.isDirty)
            // None of it moves the page or changes what else it allows.
            for other in [entry.mkyoung, entry.mkold, entry.mkdirty, entry.mkclean] {
                #expect(other.permissions == protection)
                #expect(other.entry.pageAddress(size: size) == memory(3 * gib))
            }
            #expect(entry.mkwrite.permissions == protection.union(.write))
            #expect(entry.wrprotect.permissions == protection.subtracting(.write))
            #expect(entry.isLeaf && entry.isBad)
        }
    }

    @Test func pte_basic_tests() { basic(.size4KiB) }
    @Test func pmd_basic_tests() { basic(.size2MiB) }
    @Test func pud_basic_tests() { basic(.size1GiB) }
    @Test func pmd_leaf_tests() { #expect(Entry(.readWrite, .size2MiB).isLeaf) }
    @Test func pud_leaf_tests() { #expect(Entry(.readWrite, .size1GiB).isLeaf) }
    @Test func hugetlb_basic_tests() {
        for size in [PageSize.size2MiB, .size1GiB] {
            let entry = Entry(.readWrite, size)
            #expect(entry.mkclean.mkdirty.isDirty && entry.mkdirty.wrprotect.mkwrite.isWritable)
            #expect(!entry.mkwrite.wrprotect.isWritable && entry.isLeaf)
            #expect(entry.entry.pageAddress(size: size) == memory(3 * gib))
        }
    }
    /// A large page stays one, whatever is noted or allowed.
    @Test func pmd_thp_tests() { largeStaysLarge(.size2MiB) }
    @Test func pud_thp_tests() { largeStaysLarge(.size1GiB) }

    private func largeStaysLarge(_ size: PageSize) {
        let entry = Entry(.readWrite, size)
        for other in [entry.mkold, entry.mkyoung, entry.mkclean, entry.wrprotect, entry.wrprotect.mkwrite] {
            #expect(other.entry.isPresent && other.isLeaf)
        }
    }

    /// Entries that the tables hold, changed by their calls, with what the CPU sees.
    private func advanced(_ size: PageSize) throws {
        let bench = Bench()
        try bench.machine.run {
            let tables = bench.tables
            let at = page(areas)
            func map(_ permissions: PagePermissions) throws {
                try tables.value.map(
                    at, to: memory(gib), size: size, permissions: permissions, using: &bench.source)
            }
            func unmap() throws {
                #expect(try tables.value.unmap(at, size: size, using: &bench.source) == memory(gib))
                #expect(tables.value.lookup(at) == .none && bench.fault(at: at) == .notPresent)
                #expect(bench.pool.inUse == 1)
            }
            // set, set_wrprotect, get_and_clear
            try map(.readWrite)
            #expect(bench.fault(at: at, .store) == nil)
            try tables.value.protect(at, size: size, permissions: .readOnly, using: &bench.source)
            #expect(bench.fault(at: at, .store) == .protection && bench.fault(at: at) == nil)
            try unmap()
            // set a clean read-only one, set_access_flags, get_and_clear_full
            try map(.readOnly)
            #expect(tables.value.usage(of: at) == .accessed)
            try tables.value.protect(at, size: size, permissions: .readWrite, using: &bench.source)
            #expect(bench.fault(at: at, .store) == nil)
            #expect(tables.value.usage(of: at) == .accessed | .dirty)
            try unmap()
            // test_and_clear_young: once it was, then it is not.
            try map(.readWrite)
            let range = pages(areas, size.byteCount)
            var young = 0
            try tables.value.clearUsage(.accessed, in: range) { _, _, notes in young += notes == .accessed ? 1 : 0 }
            #expect(young == 1 && tables.value.usage(of: at) == .dirty)
            try tables.value.clearUsage(.accessed, in: range) { _, _, notes in young += notes == .accessed ? 1 : 0 }
            #expect(young == 1)
            // And the CPU makes it young again.
            #expect(bench.fault(at: at) == nil)
            #expect(tables.value.usage(of: at) == .accessed | .dirty)
            try unmap()
            #expect(bench.machine.takeStaleTranslations() == [])
        }
    }

    @Test func pte_advanced_tests() throws { try advanced(.size4KiB) }
    @Test func pmd_advanced_tests() throws { try advanced(.size2MiB) }
    @Test func pud_advanced_tests() throws { try advanced(.size1GiB) }

    /// Where nothing is a large page can be set, and cleared; over a table it cannot.
    private func huge(_ size: PageSize) throws {
        let bench = Bench()
        try bench.machine.run {
            let tables = bench.tables
            try tables.value.map(
                page(areas), to: memory(gib), size: size, permissions: .readWrite, using: &bench.source)
            #expect(tables.value.translate(page(areas))?.size == size)
            #expect(try tables.value.unmap(page(areas), size: size, using: &bench.source) == memory(gib))
            #expect(tables.value.lookup(page(areas)) == .none)
            try tables.value.map(
                page(areas), to: memory(gib), permissions: .readWrite, using: &bench.source)
            let before = bench.snapshot()
            #expect(throws: PagingError.alreadyMapped) {
                try tables.value.map(
                    page(areas), to: memory(gib), size: size, permissions: .readWrite, using: &bench.source)
            }
            #expect(throws: PagingError.insideSmallerPages) {
                _ = try tables.value.unmap(page(areas), size: size, using: &bench.source)
            }
            #expect(bench.snapshot() == before)
        }
    }

    @Test func pmd_huge_tests() throws { try huge(.size2MiB) }
    @Test func pud_huge_tests() throws { try huge(.size1GiB) }

    @Test func p4d_basic_tests() { sameAndNoLeaf(level: 3) }
    @Test func pgd_basic_tests() { sameAndNoLeaf(level: 4) }

    private func sameAndNoLeaf(level: Int) {
        for count in [0, 1, 511, 512] {
            let entry = PageTableEntry(table: memory(gib), entriesInUse: count, user: false)
            #expect(entry == entry && entry.referencesTable(atLevel: level) && !entry.isLeaf(atLevel: level))
        }
        // Above 1 GiB the bit that makes a page large means nothing.
        let large = Entry(.readWrite, .size1GiB).entry
        #expect(!large.isLeaf(atLevel: level) && large.referencesTable(atLevel: level))
    }

    /// Whatever an entry held, cleared it is none.
    private func clear(_ size: PageSize) {
        for bits in [UInt(0xff), 0xffff_ffff_ffff_fff0, 1 << 63, Entry(.readWrite, size).entry.rawValue] {
            var entry = PageTableEntry.empty
            entry.rawValue = bits
            #expect(!entry.isEmpty)
            entry = .empty
            #expect(entry.isEmpty && !entry.isPresent && !entry.isDemand && !entry.isGuard)
        }
    }

    @Test func pte_clear_tests() { clear(.size4KiB) }
    @Test func pmd_clear_tests() { clear(.size2MiB) }
    @Test func pud_clear_tests() { clear(.size1GiB) }
    @Test func p4d_clear_tests() { clear(.size1GiB) }
    @Test func pgd_clear_tests() { clear(.size1GiB) }

    /// An entry that references a table is not bad, and says which.
    private func populate(level: Int) {
        let table = PageTableEntry(table: memory(2 * gib), entriesInUse: 3, user: true)
        #expect(table.referencesTable(atLevel: level) && table.tableAddress == memory(2 * gib))
        #expect(table.isPresent && !table.isEmpty && table.isUser && table.isWritable)
    }

    @Test func pmd_populate_tests() { populate(level: 1) }
    @Test func pud_populate_tests() { populate(level: 2) }
    @Test func p4d_populate_tests() { populate(level: 3) }
    @Test func pgd_populate_tests() { populate(level: 4) }
}
