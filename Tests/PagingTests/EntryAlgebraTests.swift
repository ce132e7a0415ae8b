import MemoryPrimitives
import Testing

@testable import Paging

/// The algebra of entries at each level, as Linux's debug_vm_pgtable asserts it of its own: each change does what it says,
/// undoes its opposite, and touches nothing else.
@Suite struct EntryAlgebraTests {
    private static let sizes: [PageSize] = [.size4KiB, .size2MiB, .size1GiB]

    /// All combinations of what a page can allow.
    private static var permissions: [PagePermissions] {
        (0..<16).flatMap { (bits: Int) -> [PagePermissions] in
            var all: PagePermissions = .read
            if bits & 1 != 0 { all.insert(.write) }
            if bits & 2 != 0 { all.insert(.execute) }
            if bits & 4 != 0 { all.insert(.user) }
            if bits & 8 != 0 { all.insert(.global) }
            return [CacheMode.writeBack, .writeThrough, .uncachedOverridable, .uncached, .writeCombining].map {
                all.cached($0)
            }
        }
    }

    private func leaf(_ size: PageSize, _ permissions: PagePermissions) -> PageTableEntry {
        PageTableEntry(leaf: memory(3 * gib), size: size, permissions: permissions, features: .all)
    }

    @Test(arguments: sizes) func writeProtectionAndItsOpposite(size: PageSize) {
        for permissions in Self.permissions {
            let entry = leaf(size, permissions)
            let writable = entry.withPermissions(permissions.union(.write), size: size, features: .all)
            let protected = writable.withPermissions(permissions.subtracting(.write), size: size, features: .all)
            #expect(writable.isWritable && !protected.isWritable)
            #expect(writable.rawValue ^ protected.rawValue == PageTableEntry.writableBit, "nothing else changes")
            #expect(protected.withPermissions(permissions.union(.write), size: size, features: .all) == writable)
            #expect(entry.withPermissions(permissions, size: size, features: .all) == entry)
        }
    }

    @Test(arguments: sizes) func notesOfUseAreApartFromPermissions(size: PageSize) {
        for permissions in Self.permissions {
            var clean = leaf(size, permissions)
            clean.rawValue &= ~(PageUsage.accessed | .dirty).entryBits
            #expect(PageUsage(clean) == PageUsage.none && clean.permissions(size: size) == permissions)
            var young = clean
            young.rawValue |= PageUsage.accessed.entryBits
            #expect(young.isAccessed && !young.isDirty && PageUsage(young) == .accessed)
            var dirty = clean
            dirty.rawValue |= PageUsage.dirty.entryBits
            #expect(dirty.isDirty && !dirty.isAccessed && PageUsage(dirty) == .dirty)
            #expect(dirty.permissions(size: size) == permissions && young.permissions(size: size) == permissions)
            // What becomes writable becomes dirty; nothing else is noted by a change of permissions.
            let writable = clean.withPermissions(permissions.union(.write), size: size, features: .all)
            #expect(writable.isDirty == !permissions.contains(.write))
            let readOnly = dirty.withPermissions(permissions.subtracting(.write), size: size, features: .all)
            #expect(readOnly.isDirty && !readOnly.isAccessed)
        }
    }

    @Test(arguments: sizes) func leavesTablesAndAbsentEntriesAreNeverTakenForEachOther(size: PageSize) {
        let level = Int(size.rawValue)
        #expect(PageTableEntry.empty.isEmpty && !PageTableEntry.empty.isPresent)
        for permissions in Self.permissions {
            let entry = leaf(size, permissions)
            #expect(entry.isPresent && entry.isLeaf(atLevel: level) && !entry.isEmpty)
            #expect(!entry.isDemand && !entry.isGuard && !entry.isShared)
            #expect(!entry.hasMisalignedAddress(size: size))
            #expect(entry.pageAddress(size: size) == memory(3 * gib) && entry.permissions(size: size) == permissions)
            let demand = PageTableEntry.demand(permissions, features: .all)
            #expect(demand.isDemand && !demand.isPresent && !demand.isGuard && !demand.isEmpty)
            #expect(demand.permissions() == permissions)
        }
        let table = PageTableEntry(table: memory(gib), entriesInUse: 512, user: false)
        #expect(table.referencesTable(atLevel: level + 1) && !table.isLeaf(atLevel: level + 1))
        #expect(table.entriesInUse == 512 && table.tableAddress == memory(gib))
        #expect(table.countingEntries(0).entriesInUse == 0 && table.countingEntries(512) == table)
    }

    /// The first piece of a page is merged with its neighbours to the page that it was cut from.
    @Test(arguments: [PageSize.size2MiB, .size1GiB]) func splittingAndMergingAreOpposites(size: PageSize) {
        let smaller = PageSize(rawValue: size.rawValue - 1)!
        let notes = (PageUsage.accessed | .dirty).entryBits
        for permissions in Self.permissions {
            let entry = leaf(size, permissions)
            let first = entry.piece(0, ofSize: size, smaller: smaller)
            #expect(first.permissions(size: smaller) == permissions)
            #expect(first.enlarged(from: smaller, to: size, notes: entry.rawValue & notes) == entry)
            let last = entry.piece(511, ofSize: size, smaller: smaller)
            #expect(last.rawValue - first.rawValue == 511 * smaller.byteCount, "the address alone differs")
        }
    }
}
