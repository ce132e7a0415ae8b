import MemoryPrimitives
import Synchronization

/// What one simulated CPU remembers of the tables: translations, and tables on the way to them.
///
/// Nothing is forgotten until it is flushed, so that a missing flush always shows. A flush of one page drops what this
/// page's walk goes through and nothing else, which is the least that any CPU does (AMD's translation cache extension).
struct TranslationCache {
    struct CachedTable {
        var table: UInt
        var rights: AccessRights
    }

    /// The top-level table; nil until one is loaded.
    var root: UInt?
    /// Pages by size, keyed by the address without the offset.
    private var pages: [[UInt: PageWalker.Leaf]] = [[:], [:], [:]]
    /// Tables by the level of the entry that refers to them (1 to 4), keyed by what the entry stands for.
    private var tables: [[UInt: CachedTable]] = [[:], [:], [:], [:], [:]]

    func page(at address: UInt) -> PageWalker.Leaf? {
        for (size, known) in pages.enumerated() {
            if let leaf = known[address >> PageWalker.shift(size)] { return leaf }
        }
        return nil
    }

    mutating func insert(_ leaf: PageWalker.Leaf, at address: UInt) {
        pages[Int(leaf.shift - 12) / 9][address >> leaf.shift] = leaf
    }

    /// The deepest table known for `address`, and the level of the entries in it.
    func deepestTable(for address: UInt) -> (level: Int, CachedTable)? {
        for level in 1...4 {
            if let table = tables[level][address >> PageWalker.shift(level)] { return (level - 1, table) }
        }
        return nil
    }

    mutating func insert(_ table: CachedTable, level: Int, at address: UInt) {
        tables[level][address >> PageWalker.shift(level)] = table
    }

    mutating func dropTables(for address: UInt) {
        for level in 1...4 { tables[level][address >> PageWalker.shift(level)] = nil }
    }

    /// INVLPG
    mutating func drop(_ address: UInt) {
        for size in 0..<3 { pages[size][address >> PageWalker.shift(size)] = nil }
        dropTables(for: address)
    }

    mutating func dropAll(keepingGlobal: Bool = false) {
        for size in 0..<3 { pages[size] = keepingGlobal ? pages[size].filter(\.value.isGlobal) : [:] }
        for level in 1...4 { tables[level] = [:] }
    }

    /// Addresses whose walk still goes through `table`.
    func addresses(through table: UInt) -> [UInt] {
        (1...4).flatMap { level in
            tables[level].filter { $0.value.table == table }.map { $0.key << PageWalker.shift(level) }
        }
    }

    /// Pages that still lead into `range` of physical memory.
    func addresses(leadingInto range: Range<UInt>) -> [UInt] {
        (0..<3).flatMap { size in
            pages[size].filter { range.overlaps($0.value.physical..<($0.value.physical + (1 << $0.value.shift))) }
                .map { $0.key << PageWalker.shift(size) }
        }
    }
}

/// A translation that a CPU should have forgotten.
public struct StaleTranslation: Equatable, Sendable {
    /// How the translation differs from what the tables say.
    public enum Kind: Sendable {
        /// The tables map nothing there any more.
        case unmapped
        /// The tables lead elsewhere.
        case otherFrame
        /// The tables allow less.
        case lesserPermissions
        /// The walk still goes through a table that was freed.
        case freedTable
    }

    /// How it differs.
    public var kind: Kind
    /// The CPU that remembers it.
    public var cpu: Int
    /// The page that it is of.
    public var address: VirtualAddress

    /// A translation of `address` that `cpu` should have forgotten.
    public init(kind: Kind, cpu: Int, address: VirtualAddress) {
        self.kind = kind
        self.cpu = cpu
        self.address = address
    }
}

/// One CPU's part of the MMU. The lock is held for the whole of an access, so that a flush waits until the access is
/// over, as the sender of an inter-processor interrupt does.
final class SimulatedTLB: Sendable {
    let cache = HostLock(TranslationCache())
    /// Saves flushes of CPUs that never loaded a root.
    let isUsed = Atomic<Bool>(false)

    func flush(_ body: (inout TranslationCache) -> Void) {
        if isUsed.load(ordering: .acquiring) { cache.withLock { body(&$0) } }
    }
}
