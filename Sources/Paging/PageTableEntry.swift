import MemoryPrimitives

/// One entry of a page table at any level: a raw word and what its bits mean (Intel SDM vol. 3, 4.5).
///
///     present = 0                          present = 1
///     0                  empty             large page bit clear, level > 0   references a table
///     kind 1 (bits 9-10) demand            level 0 or large page bit set     leaf: maps a page
///     kind 2             guard
///     kind 3             retired
///     kind 0, bit 52     page of a stack, due when the stack grows
///
/// - A *demand* entry keeps its permission bits where a leaf has them: to resolve it is to fill in the frame. So does that of
///   a stack's page, which is resolved without any lock (`growStack`).
/// - Such entries and guard entries have all address bits set, so that a CPU that speculates past a clear present bit
///   (L1 terminal fault) finds no RAM there. A *retired* entry, of a page that was taken away and whose frame other CPUs
///   may still reach, has the frame's address bits inverted for the same reason.
/// - An entry that references a table keeps the number of that table's entries in use in bits 52 to 61, which the CPU
///   ignores there. In leaves those bits are 0.
/// - Accessed and, where writable, dirty are set from the start, so that the CPU does not write to an entry unless
///   somebody has cleared them to find out what is used. Other permissions change neither, except that a page that
///   becomes writable becomes dirty.
public struct PageTableEntry: RawRepresentable, Equatable, Sendable {
    /// The entry as the CPU reads it.
    public var rawValue: UInt

    /// The entry of these bits; any value is one.
    @inline(__always)
    public init(rawValue: UInt) { self.rawValue = rawValue }

    static let presentBit: UInt = 1 << 0
    static let writableBit: UInt = 1 << 1
    static let userBit: UInt = 1 << 2
    static let writeThroughBit: UInt = 1 << 3
    static let cacheDisableBit: UInt = 1 << 4
    static let accessedBit: UInt = 1 << 5
    static let dirtyBit: UInt = 1 << 6
    static let largeBit: UInt = 1 << 7
    static let smallAttributeBit: UInt = 1 << 7
    static let globalBit: UInt = 1 << 8
    /// In entries that reference a table: it is never freed, even when empty.
    static let permanentBit: UInt = 1 << 9
    /// In entries that reference a table: another entry owns it, and keeps its count.
    static let sharedBit: UInt = 1 << 10
    /// In the first entry of a table: `checkInvariants` has seen it. Set only while that runs.
    static let visitedBit: UInt = 1 << 11
    static let largeAttributeBit: UInt = 1 << 12
    static let noExecuteBit: UInt = 1 << 63
    static let addressMask: UInt = 0x000f_ffff_ffff_f000
    static let kindShift: UInt = 9
    /// In not-present entries: one more kind, where the two bits have no room for it.
    static let stackBit: UInt = 1 << 52
    static let countShift: UInt = 52
    static let countMask: UInt = 0x3ff << countShift

    /// Nothing is mapped.
    public static var empty: PageTableEntry { PageTableEntry(rawValue: 0) }

    /// A page nobody may touch, which `lookup` can tell from an unmapped one.
    public static var guardPage: PageTableEntry { PageTableEntry(rawValue: (2 << kindShift) | addressMask) }

    /// A leaf that maps `frame`, a multiple of the page's size.
    @inline(__always)
    public init(
        leaf frame: PhysicalAddress, size: PageSize, permissions: PagePermissions, features: PagingFeatures
    ) {
        var bits = Self.presentBit | Self.permissionBits(permissions, features)
        if size != .size4KiB {
            // The attribute bit moves up to make room for the large page bit.
            if bits & Self.smallAttributeBit != 0 { bits |= Self.largeAttributeBit }
            bits |= Self.largeBit
        }
        rawValue = bits | (frame.rawValue & Self.addressMask)
    }

    /// An entry that references the table at `frame`, of which `count` entries are in use.
    @inline(__always)
    public init(table frame: PhysicalAddress, entriesInUse count: Int, user: Bool) {
        rawValue =
            Self.presentBit | Self.writableBit | Self.accessedBit | (user ? Self.userBit : 0)
            | (frame.rawValue & Self.addressMask) | (UInt(bitPattern: count) << Self.countShift)
    }

    /// Zeroed memory at the first touch, with these permissions: a page at the last level, as many as the entry stands for
    /// above. The bits are those of a 4 KiB page at every level.
    @inline(__always)
    public static func demand(_ permissions: PagePermissions, features: PagingFeatures) -> PageTableEntry {
        PageTableEntry(rawValue: (1 << kindShift) | permissionBits(permissions, features) | addressMask)
    }

    /// A page of a stack that is due when the stack grows. Always 4 KiB.
    static func dueStackPage(_ permissions: PagePermissions, features: PagingFeatures) -> PageTableEntry {
        PageTableEntry(rawValue: stackBit | permissionBits(permissions, features) | addressMask)
    }

    /// The 4 KiB leaf that a demand entry, or that of a stack's page, becomes when `frame` fills it.
    @inline(__always)
    public func resolved(with frame: PhysicalAddress) -> PageTableEntry {
        let permissions = rawValue & ~(Self.addressMask | (3 << Self.kindShift) | Self.stackBit)
        return PageTableEntry(rawValue: permissions | Self.presentBit | (frame.rawValue & Self.addressMask))
    }

    /// What this leaf becomes when its page is taken away, and its frame has to wait until all CPUs know.
    @inline(__always)
    var retired: PageTableEntry {
        PageTableEntry(rawValue: (rawValue ^ (Self.addressMask | Self.presentBit)) | 3 << Self.kindShift)
    }

    /// The frame of a leaf of 4 KiB, or of one that was retired.
    @inline(__always)
    var frame: PageFrameNumber {
        let bits = _fastPath(isPresent) ? rawValue : ~rawValue
        return PageFrameNumber(rawValue: (bits & Self.addressMask) &>> PageSize.shift)
    }

    /// Permissions as a 4 KiB leaf has them.
    @inline(__always)
    private static func permissionBits(_ permissions: PagePermissions, _ features: PagingFeatures) -> UInt {
        var bits = accessedBit
        if permissions.contains(.write) { bits |= writableBit | dirtyBit }
        if permissions.contains(.user) { bits |= userBit }
        if permissions.contains(.global) && features.globalPages { bits |= globalBit }
        if !permissions.contains(.execute) && features.noExecute { bits |= noExecuteBit }
        let mode = UInt(permissions.cacheMode.rawValue)
        return bits | ((mode & 3) << 3) | ((mode >> 2) << 7)
    }
}

extension PageTableEntry {
    /// Whether no bit is set: nothing is mapped, and nothing is noted down.
    @inline(__always)
    public var isEmpty: Bool { rawValue == 0 }
    /// Whether the CPU follows the entry.
    @inline(__always)
    public var isPresent: Bool { rawValue & Self.presentBit != 0 }
    /// Whether the entry allows writing.
    public var isWritable: Bool { rawValue & Self.writableBit != 0 }
    /// Whether the entry allows user mode.
    public var isUser: Bool { rawValue & Self.userBit != 0 }
    /// Whether the CPU has used the entry since the bit was cleared.
    public var isAccessed: Bool { rawValue & Self.accessedBit != 0 }
    /// Whether the CPU has written to the page since the bit was cleared.
    public var isDirty: Bool { rawValue & Self.dirtyBit != 0 }
    /// Whether the translation outlives a change of CR3.
    public var isGlobal: Bool { rawValue & Self.globalBit != 0 }
    /// Whether the entry allows execution.
    public var isExecutable: Bool { rawValue & Self.noExecuteBit == 0 }

    /// True for a not-present entry that stands for a zeroed page at the first touch.
    @inline(__always)
    public var isDemand: Bool { !isPresent && (rawValue >> Self.kindShift) & 3 == 1 }

    /// True for a not-present entry that stands for a page of a stack.
    @inline(__always)
    public var isDueStackPage: Bool { !isPresent && rawValue & Self.stackBit != 0 }

    /// True for a not-present entry that stands for a guard page.
    public var isGuard: Bool { !isPresent && (rawValue >> Self.kindShift) & 3 == 2 }

    /// True for a not-present entry that keeps the frame of a page that was taken away.
    @inline(__always)
    var isRetired: Bool { !isPresent && (rawValue >> Self.kindShift) & 3 == 3 }

    /// True when the entry, found at `level` (0 for the last), references a table. Above 1 GiB there are no leaves.
    @inline(__always)
    public func referencesTable(atLevel level: Int) -> Bool {
        isPresent && level > 0 && (level >= 3 || rawValue & Self.largeBit == 0)
    }

    /// True when the entry, found at `level`, maps a page.
    @inline(__always)
    public func isLeaf(atLevel level: Int) -> Bool { isPresent && !referencesTable(atLevel: level) }

    /// The table that the entry references.
    @inline(__always)
    public var tableAddress: PhysicalAddress { PhysicalAddress(rawValue & Self.addressMask) }

    /// The first byte of the page that the entry, a leaf of `size`, maps.
    @inline(__always)
    public func pageAddress(size: PageSize) -> PhysicalAddress {
        PhysicalAddress(rawValue & Self.addressMask & ~(size.byteCount &- 1))
    }

    /// True when a leaf of `size` has address bits below its page size, which are reserved (bit 12 apart).
    func hasMisalignedAddress(size: PageSize) -> Bool {
        let allowed = size == .size4KiB ? 0 : Self.largeAttributeBit
        return rawValue & Self.addressMask & (size.byteCount &- 1) & ~allowed != 0
    }

    /// What a leaf of `size`, or a demand entry (4 KiB), allows; without what the levels above it take away.
    public func permissions(size: PageSize = .size4KiB) -> PagePermissions {
        var result: PagePermissions = .read
        if isWritable { result.insert(.write) }
        if isUser { result.insert(.user) }
        if isGlobal { result.insert(.global) }
        if isExecutable { result.insert(.execute) }
        let attribute = size == .size4KiB ? Self.smallAttributeBit : Self.largeAttributeBit
        let mode = UInt16(truncatingIfNeeded: (rawValue >> 3) & 3) | (rawValue & attribute != 0 ? 4 : 0)
        result.cacheMode = CacheMode(rawValue: mode) ?? .uncached
        return result
    }

    /// What a leaf or a demand entry that was found at `level` allows.
    @inline(__always)
    func permissions(atLevel level: Int) -> PagePermissions {
        permissions(size: isPresent ? pageSize(ofLevel: level) : .size4KiB)
    }

    /// This leaf of `size` with other permissions, and what the CPU has noted in it.
    @inline(__always)
    func withPermissions(
        _ permissions: PagePermissions, size: PageSize, features: PagingFeatures
    ) -> PageTableEntry {
        var new = PageTableEntry(
            leaf: pageAddress(size: size), size: size, permissions: permissions, features: features)
        if isWritable || !new.isWritable {
            new.rawValue &= ~(Self.accessedBit | Self.dirtyBit)
            new.rawValue |= rawValue & (Self.accessedBit | Self.dirtyBit)
        }
        return new
    }

    /// The entry of a page of `smaller` size that is piece `index` of this leaf of `size`.
    @inline(__always)
    func piece(_ index: Int, ofSize size: PageSize, smaller: PageSize) -> PageTableEntry {
        var bits = rawValue & ~Self.addressMask
        if smaller == .size4KiB {
            bits &= ~Self.largeBit
            if rawValue & Self.largeAttributeBit != 0 { bits |= Self.smallAttributeBit }
        } else {
            bits |= rawValue & Self.largeAttributeBit
        }
        let address = pageAddress(size: size).rawValue &+ (UInt(bitPattern: index) << smaller.shift)
        return PageTableEntry(rawValue: bits | address)
    }

    /// The leaf of `larger` size that begins with this one of `size`.
    func enlarged(from size: PageSize, to larger: PageSize, notes: UInt) -> PageTableEntry {
        var bits = rawValue & ~(Self.addressMask | Self.accessedBit | Self.dirtyBit)
        let hasAttribute = rawValue & (size == .size4KiB ? Self.smallAttributeBit : Self.largeAttributeBit) != 0
        bits |= Self.largeBit | notes | (hasAttribute ? Self.largeAttributeBit : 0)
        return PageTableEntry(rawValue: bits | pageAddress(size: size).rawValue)
    }

    /// How many entries of the referenced table are in use: 0 to 512.
    @inline(__always)
    public var entriesInUse: Int { Int(bitPattern: (rawValue & Self.countMask) >> Self.countShift) }

    /// The same reference with another count.
    @inline(__always)
    func countingEntries(_ count: Int) -> PageTableEntry {
        PageTableEntry(rawValue: (rawValue & ~Self.countMask) | (UInt(bitPattern: count) << Self.countShift))
    }

    /// True when the referenced table is kept even when it is empty.
    public var isPermanent: Bool { rawValue & Self.permanentBit != 0 }

    /// True when the referenced table belongs to another entry.
    public var isShared: Bool { isPresent && rawValue & Self.sharedBit != 0 }
}
