import MemoryPrimitives

/// What an address is mapped to.
public struct Translation: Equatable, Sendable {
    /// The byte that the address asked for leads to.
    public var physical: PhysicalAddress
    /// The size of the page that it lies in.
    public var size: PageSize
    /// What all levels on the way to the page allow together.
    public var permissions: PagePermissions

    /// A page of `size`, in which the address leads to `physical`.
    public init(physical: PhysicalAddress, size: PageSize, permissions: PagePermissions) {
        self.physical = physical
        self.size = size
        self.permissions = permissions
    }
}

/// What the tables say about an address.
public enum PageLookup: Equatable, Sendable {
    /// A page is there. To a fault handler whose access the page allows: another CPU was quicker, or this CPU's walk was
    /// out of date; it returns and the access is tried again.
    case mapped(Translation)
    /// A zeroed page is due at the first touch; in a stack, a painted one (see `PageTables.growStack`).
    case demand(PagePermissions)
    /// Nobody may touch this.
    case guardPage
    /// Nothing is there.
    case none
}
