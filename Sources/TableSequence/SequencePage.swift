import MemoryPrimitives
import Paging

/// What the flat model knows of one page of 4 KiB.
public struct SequencePage: Equatable {
    enum Kind: UInt8 {
        case none
        case mapped
        case demand
        case guardPage
    }

    var kind = Kind.none
    /// The frame's number in the block, where the page is mapped.
    var frame: UInt16 = 0
    var permissions = PagePermissions.none

    public init() {}

    init(_ kind: Kind, frame: UInt = 0, _ permissions: PagePermissions = .none) {
        self.kind = kind
        self.frame = UInt16(truncatingIfNeeded: frame)
        self.permissions = permissions
    }

    /// Whether an access that needs `permission` is allowed; supervisor code has no business on user pages.
    func allows(_ permission: PagePermissions) -> Bool {
        kind == .mapped && permissions.isSuperset(of: permission) && !permissions.contains(.user)
    }
}
