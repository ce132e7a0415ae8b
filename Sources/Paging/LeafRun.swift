import MemoryPrimitives

/// Neighbouring pages of one size with the same permissions.
public struct LeafRun: Equatable, Sendable {
    /// The first page's address.
    public var start: VirtualAddress
    /// The last byte, because a run may end where the address space does.
    public var last: VirtualAddress
    /// The size of each page.
    public var size: PageSize
    /// What each page allows.
    public var permissions: PagePermissions
    /// Where the first page leads.
    public var physical: PhysicalAddress
    /// True when the following pages follow each other in physical memory too.
    public var isContiguous: Bool
    /// Where the same tables show the same pages once more, with the same permissions: there they are not a run of
    /// their own. Nil where they do not.
    public var alias: VirtualAddress?

    init(_ leaves: FoundLeaves) {
        let byteCount = UInt(bitPattern: leaves.count) << PageTable.shift(ofLevel: leaves.level)
        start = VirtualAddress(leaves.address)
        last = VirtualAddress(leaves.address &+ (byteCount &- 1))
        size = pageSize(ofLevel: leaves.level)
        permissions = leaves.permissions
        physical = leaves.entry.pageAddress(size: size)
        isContiguous = true
        alias = leaves.alias.map { VirtualAddress($0) }
    }

    /// Adds `next` where it continues the run, at the alias too.
    mutating func extend(by next: LeafRun) -> Bool {
        let distance = next.start.rawValue &- start.rawValue
        if next.start.rawValue != last.rawValue &+ 1 || next.size != size || next.permissions != permissions {
            return false
        }
        if next.alias?.rawValue != alias.map({ $0.rawValue &+ distance }) { return false }
        if next.physical.rawValue &- physical.rawValue != distance { isContiguous = false }
        last = next.last
        return true
    }
}
