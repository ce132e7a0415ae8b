import MemoryPrimitives

/// Whether memory that holds code can be changed through another page than the one it is executed from.
///
/// It looks at the physical memory behind the pages: what one page maps to be executed, no other page may map to be
/// written, the direct map's and the object alias' pages included.
public struct AliasAudit: Equatable, Sendable {
    /// Pages, of whatever size, through which some memory that is executable elsewhere can be written.
    public private(set) var writableAliases: UInt = 0
    /// The first of them, in the order that code is found.
    public private(set) var first: VirtualAddress?
    /// Pages of the upper half, which is the kernel's, that user code may use.
    public private(set) var userPagesOfKernel: UInt = 0

    /// Walks all tables below `root`, which nobody changes meanwhile.
    /// - Complexity: O(tables * ranges of executable memory / 16). Any context.
    public init(root: PhysicalAddress, directMap: DirectMap, features: PagingFeatures) {
        var result = AliasAudit()
        var skipped = 0
        while true {
            var code = CodeRanges(after: skipped)
            let walk = TableWalk(directMap, features)
            walk.visit(root: root) { found in
                if case .leaves(let leaves) = found, leaves.permissions.contains(.execute) { code.add(leaves) }
            }
            walk.visit(root: root) { found in
                guard case .leaves(let leaves) = found else { return }
                result.check(leaves, code)
                if skipped == 0 { result.countUserPages(leaves) }
            }
            if !code.isFull { break }
            skipped &+= CodeRanges.capacity
        }
        self = result
    }

    private init() {}

    /// No code can be changed through an alias, and no page of the kernel's is user code's.
    public var passes: Bool { writableAliases == 0 && userPagesOfKernel == 0 }

    private mutating func check(_ leaves: FoundLeaves, _ code: CodeRanges) {
        if !leaves.permissions.contains(.write) { return }
        let size = pageSize(ofLevel: leaves.level)
        let start = leaves.entry.pageAddress(size: size).rawValue
        for index in 0..<code.count {
            let overlap = code.overlap(index, start, UInt(bitPattern: leaves.count) << size.shift)
            guard let overlap else { continue }
            let before = (overlap.start &- start) >> size.shift
            let pages = ((overlap.last &- start) >> size.shift) &- before &+ 1
            writableAliases &+= leaves.alias == nil ? pages : pages &* 2
            if first == nil { first = VirtualAddress(leaves.address &+ (before << size.shift)) }
        }
    }

    private mutating func countUserPages(_ leaves: FoundLeaves) {
        if leaves.permissions.contains(.user) && leaves.address >> 63 != 0 {
            userPagesOfKernel &+= UInt(bitPattern: leaves.count)
        }
    }
}

/// The first ranges of physical memory that can be executed, after those that were looked at before.
private struct CodeRanges {
    static var capacity: Int { 16 }

    private var starts = InlineArray<16, UInt>(repeating: 0)
    private var byteCounts = InlineArray<16, UInt>(repeating: 0)
    private(set) var count = 0
    private var skipped: Int

    init(after skipped: Int) { self.skipped = skipped }

    var isFull: Bool { count == Self.capacity }

    mutating func add(_ leaves: FoundLeaves) {
        if isFull { return }
        if skipped > 0 {
            skipped &-= 1
            return
        }
        let size = pageSize(ofLevel: leaves.level)
        starts[count] = leaves.entry.pageAddress(size: size).rawValue
        byteCounts[count] = UInt(bitPattern: leaves.count) << size.shift
        count &+= 1
    }

    /// What range `index` has in common with `byteCount` bytes from `start`: its first and its last byte.
    func overlap(_ index: Int, _ start: UInt, _ byteCount: UInt) -> (start: UInt, last: UInt)? {
        let low = max(starts[index], start)
        let high = min(starts[index] &+ (byteCounts[index] &- 1), start &+ (byteCount &- 1))
        return low <= high ? (low, high) : nil
    }
}

extension PageTables {
    /// Whether any code can be changed through an alias. - Complexity: as `AliasAudit`, with interrupts disabled.
    public func auditAliases() -> AliasAudit {
        lock.withLock { AliasAudit(root: root, directMap: directMap, features: features) }
    }
}
