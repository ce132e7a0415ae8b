/// Why a change of the page tables was refused. Nothing has changed then, and every table taken was given back.
public enum PagingError: UInt8, Error, Sendable {
    /// A page, a demand or guard entry, or a table of smaller pages is there already.
    case alreadyMapped
    /// No page is there (demand and guard entries are not pages).
    case notMapped
    /// An address or a size is not a multiple of the page size.
    case misaligned
    /// An address lies in the canonical hole, or a range reaches into it or wraps round.
    case notCanonical
    /// The physical address has bits that the CPU does not.
    case beyondPhysicalLimit
    /// The CPU has no pages of this size.
    case unsupportedPageSize
    /// The source gave no frame for a table.
    case outOfTables
    /// A larger page lies across the range's edge, and splitting was not asked for.
    case insideLargePage
    /// The page is smaller than the one named.
    case insideSmallerPages
    /// The address lies in the alias of a shared subtree, which is changed through its original only.
    case sharedSubtree
    /// User pages live in the lower half of the address space.
    case userPageInKernelHalf
    /// A page would be both writable and executable.
    case writableAndExecutable
}
