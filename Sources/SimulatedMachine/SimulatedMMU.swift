import MemoryPrimitives
import Synchronization

/// What an instruction wants from memory.
public enum AccessKind: Sendable, CaseIterable {
    /// To read.
    case load
    /// To write.
    case store
    /// To run.
    case fetch
}

/// Why the simulated CPU did not make an access.
public struct SimulatedFault: Error, Equatable, Sendable {
    /// What was in the way.
    public enum Reason: Sendable {
        /// #GP: the address lies in the canonical hole.
        case notCanonical
        /// #PF with P = 0.
        case notPresent
        /// #PF with P = 1.
        case protection
        /// #PF with RSVD = 1.
        case reservedBit
        /// Nothing answers on the bus: the arena ends below the physical address.
        case noMemory
    }

    /// What was accessed.
    public var address: VirtualAddress
    /// What was wanted.
    public var access: AccessKind
    /// What was in the way.
    public var reason: Reason
}

/// The bits of the control registers that change how addresses are translated.
public struct PagingControl: Sendable {
    /// CR0.WP
    public var writeProtect = true
    /// EFER.NXE
    public var noExecute = true
    /// CPUID says that 1 GiB pages exist.
    public var gigabytePages = true
    /// CR4.SMEP
    public var forbidsUserFetch = false
    /// CR4.SMAP, with AC clear
    public var forbidsUserAccess = false
    /// CPUID's MAXPHYADDR
    public var physicalAddressBits: UInt = 52
    /// CR4.LA57
    public var fiveLevels = false

    /// A CPU with NX and pages of 1 GiB, without SMEP, SMAP and a fifth level.
    public init() {}

    /// The level of the root's entries.
    var topLevel: Int { fiveLevels ? 4 : 3 }

    /// Whether all bits of `address` above those that are translated repeat the highest of these.
    func isCanonical(_ address: UInt) -> Bool {
        let unused: UInt = fiveLevels ? 7 : 16
        let extended = (Int(bitPattern: address) << unused) >> unused
        return UInt(bitPattern: extended) == address
    }
}

/// What may be done through an entry, or through a path of them.
struct AccessRights: Equatable {
    var writable: Bool
    var user: Bool
    var executable: Bool

    static let all = AccessRights(writable: true, user: true, executable: true)

    func limited(by other: AccessRights) -> AccessRights {
        AccessRights(
            writable: writable && other.writable, user: user && other.user, executable: executable && other.executable)
    }

    /// True when something is allowed here that `other` does not allow.
    func exceeds(_ other: AccessRights) -> Bool {
        writable && !other.writable || user && !other.user || executable && !other.executable
    }

    func allow(_ access: AccessKind, asUser: Bool, _ control: PagingControl) -> Bool {
        if asUser && !user { return false }
        switch access {
        case .load:
            return asUser || !user || !control.forbidsUserAccess
        case .store:
            return (writable || !asUser && !control.writeProtect) && (asUser || !user || !control.forbidsUserAccess)
        case .fetch:
            return executable && (asUser || !user || !control.forbidsUserFetch)
        }
    }
}

/// A page walk over the tables in an arena, written from the manual (Intel SDM vol. 3, 4.5) and sharing nothing with
/// the code that builds tables.
struct PageWalker {
    struct Leaf: Equatable {
        /// The page's first byte.
        var physical: UInt
        /// log2 of the page's size.
        var shift: UInt
        var rights: AccessRights
        var isGlobal: Bool
        /// Where the leaf entry is, to set its dirty bit.
        var entryAddress: UInt
        /// The dirty bit is set, or has been when this was remembered: a store does not set it again.
        var isDirty: Bool
    }

    enum Outcome {
        case leaf(Leaf)
        case fault(SimulatedFault.Reason)
    }

    let arena: Arena
    let control: PagingControl

    static func shift(_ level: Int) -> UInt { 12 + 9 * UInt(level) }

    /// Walks from `table` at `level`, the root's where nil; `rights` are what the levels above allow.
    /// - Parameter note: called with each table that the walk goes on to: the level whose entry refers to it, its address
    ///   and the rights so far.
    func walk(
        _ address: UInt, from table: UInt, level: Int? = nil, rights: AccessRights = .all, markingAccessed: Bool = true,
        note: (_ level: Int, _ table: UInt, _ rights: AccessRights) -> Void = { _, _, _ in }
    ) -> Outcome {
        var table = table
        var rights = rights
        var level = level ?? control.topLevel
        while true {
            let entryAddress = table + ((address >> Self.shift(level)) & 511) * 8
            guard let word = word(at: entryAddress) else { return .fault(.noMemory) }
            let entry = word.load()
            if entry & 1 == 0 { return .fault(.notPresent) }
            let isLeaf = level == 0 || entry & (1 << 7) != 0
            if hasReservedBits(entry, level, isLeaf) { return .fault(.reservedBit) }
            if markingAccessed && entry & (1 << 5) == 0 { word.or(1 << 5) }
            rights = rights.limited(
                by: AccessRights(
                    writable: entry & 2 != 0, user: entry & 4 != 0,
                    executable: !control.noExecute || entry >> 63 == 0))
            let target = entry & 0x000f_ffff_ffff_f000
            if isLeaf {
                let shift = Self.shift(level)
                return .leaf(
                    Leaf(
                        physical: (target >> shift) << shift, shift: shift, rights: rights,
                        isGlobal: entry & (1 << 8) != 0, entryAddress: entryAddress, isDirty: entry & (1 << 6) != 0))
            }
            note(level, target, rights)
            table = target
            level -= 1
        }
    }

    private func hasReservedBits(_ entry: UInt, _ level: Int, _ isLeaf: Bool) -> Bool {
        if (entry & 0x000f_ffff_ffff_f000) >> control.physicalAddressBits != 0 { return true }
        if !control.noExecute && entry >> 63 != 0 { return true }
        if isLeaf && (level >= 3 || level == 2 && !control.gigabytePages) { return true }
        // Between the attribute bit and the page's number.
        return isLeaf && level > 0 && (entry & ((1 << Self.shift(level)) - 1)) >> 13 != 0
    }

    /// Sets the dirty bit of the leaf at `entryAddress`.
    func markDirty(_ entryAddress: UInt) {
        guard let word = word(at: entryAddress), word.load() & (1 << 6) == 0 else { return }
        word.or(1 << 6)
    }

    private func word(at address: UInt) -> TableWord? {
        if address + 8 > arena.byteCount { return nil }
        // Within the arena, and aligned because tables and indexes are.
        return unsafe TableWord(
            pointer: arena.directMap.pointer(to: PhysicalAddress(address)).assumingMemoryBound(to: Atomic<UInt>.self))
    }
}

/// A word of a table, which other CPUs may change at any time.
@safe
private struct TableWord {
    private let pointer: UnsafeMutablePointer<Atomic<UInt>>

    init(pointer: UnsafeMutablePointer<Atomic<UInt>>) { unsafe self.pointer = pointer }

    func load() -> UInt {
        // In the arena, which outlives the walk.
        unsafe pointer.pointee.load(ordering: .acquiring)
    }

    func or(_ bits: UInt) {
        // In the arena, which outlives the walk.
        _ = unsafe pointer.pointee.bitwiseOr(bits, ordering: .acquiringAndReleasing)
    }
}
