import MemoryPrimitives
import Testing

@testable import Paging

@Suite struct PageTableEntryTests {
    static let cacheModes: [CacheMode] = [
        .writeBack, .writeThrough, .uncachedOverridable, .uncached, .writeCombining,
    ]
    static let allPermissions: [PagePermissions] = (0..<16).flatMap { bits in
        cacheModes.map { PagePermissions(rawValue: UInt16(bits) << 1).union(.read).cached($0) }
    }
    static let allFeatures: [PagingFeatures] = (0..<8).map {
        PagingFeatures(noExecute: $0 & 1 != 0, gigabytePages: $0 & 2 != 0, globalPages: $0 & 4 != 0)
    }

    /// What the CPU makes of permissions that it cannot all express.
    static func expressed(_ permissions: PagePermissions, _ features: PagingFeatures) -> PagePermissions {
        var result = permissions
        if !features.noExecute { result.insert(.execute) }
        if !features.globalPages { result.remove(.global) }
        return result
    }

    @Test(arguments: [PageSize.size4KiB, .size2MiB, .size1GiB])
    func everyLeafRoundTrips(size: PageSize) {
        let frames = [0, size.byteCount, 0x000f_ffff_ffff_f000 & ~(size.byteCount - 1)]
        for features in Self.allFeatures {
            for permissions in Self.allPermissions {
                for frame in frames {
                    let entry = PageTableEntry(
                        leaf: PhysicalAddress(frame), size: size, permissions: permissions, features: features)
                    #expect(entry.isPresent && !entry.isEmpty && !entry.isDemand && !entry.isGuard)
                    #expect(entry.permissions(size: size) == Self.expressed(permissions, features))
                    #expect(entry.pageAddress(size: size).rawValue == frame)
                    #expect(entry.isLeaf(atLevel: Int(size.rawValue)))
                    #expect(!entry.hasMisalignedAddress(size: size))
                    #expect(entry.entriesInUse == 0)
                    #expect(entry.isAccessed && entry.isDirty == permissions.contains(.write))
                    #expect(features.noExecute || entry.rawValue >> 63 == 0)
                }
            }
        }
    }

    @Test func everyDemandEntryRoundTripsAndBecomesItsLeaf() {
        let frame = PhysicalAddress(0x000f_1234_5678_9000)
        for features in Self.allFeatures {
            for permissions in Self.allPermissions {
                let entry = PageTableEntry.demand(permissions, features: features)
                #expect(entry.isDemand && !entry.isPresent && !entry.isEmpty && !entry.isGuard)
                #expect(entry.permissions() == Self.expressed(permissions, features))
                // No RAM lies at the address that a CPU might speculate with.
                #expect(entry.rawValue & 0x000f_ffff_ffff_f000 == 0x000f_ffff_ffff_f000)
                let leaf = PageTableEntry(leaf: frame, size: .size4KiB, permissions: permissions, features: features)
                #expect(entry.resolved(with: frame) == leaf)
            }
        }
    }

    @Test func aGuardEntryIsNothingElse() {
        let entry = PageTableEntry.guardPage
        #expect(entry.isGuard && !entry.isDemand && !entry.isPresent && !entry.isEmpty)
        #expect(entry.rawValue & 0x000f_ffff_ffff_f000 == 0x000f_ffff_ffff_f000)
        #expect(!PageTableEntry.empty.isGuard && !PageTableEntry.empty.isDemand && PageTableEntry.empty.isEmpty)
    }

    @Test func aRetiredEntryKeepsItsFrameAndNamesNoRAM() {
        for number in [0, 1, 0x12345, (1 << 40) - 1] as [UInt] {
            let frame = PhysicalAddress(number << 12)
            for permissions in [.readOnly, .readWrite, .readExecute] as [PagePermissions] {
                let leaf = PageTableEntry(leaf: frame, size: .size4KiB, permissions: permissions, features: .all)
                let retired = leaf.retired
                #expect(
                    retired.isRetired && !retired.isPresent && !retired.isEmpty && !retired.isDemand && !retired.isGuard
                )
                #expect(leaf.frame.rawValue == number && retired.frame.rawValue == number)
                // What a CPU that goes on past the present bit would take for the page's memory.
                #expect(retired.rawValue & 0x000f_ffff_ffff_f000 == ~frame.rawValue & 0x000f_ffff_ffff_f000)
                #expect(!leaf.isRetired)
            }
        }
        #expect(!PageTableEntry.guardPage.isRetired && !PageTableEntry.empty.isRetired)
    }

    @Test func aTableReferenceKeepsItsCountApartFromEverythingElse() {
        for frame: UInt in [0x1000, 0x000f_ffff_ffff_f000] {
            for user in [false, true] {
                var entry = PageTableEntry(table: PhysicalAddress(frame), entriesInUse: 0, user: user)
                for count in 0...512 {
                    entry = entry.countingEntries(count)
                    #expect(entry.entriesInUse == count)
                    #expect(entry.tableAddress.rawValue == frame && entry.isUser == user)
                    #expect(entry.isPresent && entry.isWritable && entry.isExecutable && entry.isAccessed)
                    #expect(entry.rawValue & (1 << 7) == 0 && !entry.isShared && !entry.isPermanent)
                    // Bit 62 and the no-execute bit are not part of the count.
                    #expect(entry.rawValue >> 62 == 0)
                }
            }
        }
    }

    @Test func levelsDecideWhatAnEntryIs() {
        let table = PageTableEntry(table: PhysicalAddress(0x5000), entriesInUse: 1, user: false)
        for level in 1...3 { #expect(table.referencesTable(atLevel: level) && !table.isLeaf(atLevel: level)) }
        #expect(table.isLeaf(atLevel: 0))
        let large = PageTableEntry(
            leaf: PhysicalAddress(0x4000_0000), size: .size1GiB, permissions: .readWrite, features: .all)
        #expect(large.isLeaf(atLevel: 1) && large.isLeaf(atLevel: 2))
        #expect(PageTableEntry.demand(.readWrite, features: .all).referencesTable(atLevel: 1) == false)
    }

    @Test func piecesOfALargePageAreTheSamePageCutUp() {
        for (size, smaller) in [(PageSize.size1GiB, PageSize.size2MiB), (.size2MiB, .size4KiB)] {
            let frame = PhysicalAddress(0x000f_ffff_c000_0000)
            for permissions in Self.allPermissions {
                let whole = PageTableEntry(leaf: frame, size: size, permissions: permissions, features: .all)
                for index in [0, 1, 255, 511] {
                    let address = PhysicalAddress(frame.rawValue + UInt(index) << smaller.shift)
                    let expected = PageTableEntry(
                        leaf: address, size: smaller, permissions: permissions, features: .all)
                    #expect(whole.piece(index, ofSize: size, smaller: smaller) == expected)
                }
            }
        }
    }

    @Test func cacheModesAreKeptApartFromPermissions() {
        for permissions in Self.allPermissions {
            for mode in Self.cacheModes {
                let changed = permissions.cached(mode)
                #expect(changed.cacheMode == mode)
                #expect(changed.cached(permissions.cacheMode) == permissions)
            }
        }
        #expect(PagePermissions.readWrite.cacheMode == .writeBack)
        #expect(PagePermissions([.read, .write, .execute]).isWritableAndExecutable)
        #expect(
            !PagePermissions.readExecute.isWritableAndExecutable && !PagePermissions.readWrite.isWritableAndExecutable)
    }

    @Test func misalignedLargeLeavesAreSeen() {
        let leaf = PageTableEntry(
            leaf: PhysicalAddress(0x20_0000), size: .size2MiB, permissions: .readOnly.cached(.writeCombining),
            features: .all)
        #expect(!leaf.hasMisalignedAddress(size: .size2MiB))
        #expect(PageTableEntry(rawValue: leaf.rawValue | 0x2000).hasMisalignedAddress(size: .size2MiB))
        #expect(leaf.hasMisalignedAddress(size: .size1GiB))
    }
}
