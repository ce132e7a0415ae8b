import MemoryPrimitives

/// The level of the entries that map pages of `size`.
private func level(of size: PageSize) -> Int { Int(size.rawValue) }

/// Single pages. Any context; O(1).
extension PageTables {
    /// Maps one page.
    ///
    /// - Parameters:
    ///   - virtual: the page's address, a multiple of `size`.
    ///   - physical: the memory's address, a multiple of `size`.
    ///   - size: the page's.
    ///   - permissions: what the page is to allow.
    ///   - source: gives the tables that are missing: at most three.
    /// - Throws: `alreadyMapped` (also for a demand or guard entry, or smaller pages below), `misaligned`,
    ///   `notCanonical`, `beyondPhysicalLimit`, `unsupportedPageSize`, `sharedSubtree`, `userPageInKernelHalf`,
    ///   `outOfTables`. Nothing has changed then.
    public func map(
        _ virtual: VirtualAddress, to physical: PhysicalAddress, size: PageSize = .size4KiB,
        permissions: PagePermissions, using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) {
        try run(
            RangeChange(
                operation: .map(physical, permissions), first: virtual.rawValue, byteCount: size.byteCount,
                exactLevel: level(of: size)),
            using: &source)
    }

    /// Removes the page of `size` at `virtual`, and the tables that become empty.
    ///
    /// - Parameters:
    ///   - virtual: the page's address, a multiple of `size`.
    ///   - size: the page's.
    ///   - splitting: whether a larger page is split to remove a part of it; else that is `insideLargePage`.
    ///   - source: takes the tables that became empty; gives those that splitting needs.
    /// - Returns: the memory that was mapped there. No CPU reaches it through the page any more.
    /// - Throws: `notMapped`, `insideLargePage`, `insideSmallerPages`, `misaligned`, `notCanonical`, `sharedSubtree`,
    ///   `outOfTables`. Nothing has changed then.
    @discardableResult
    public func unmap(
        _ virtual: VirtualAddress, size: PageSize = .size4KiB, splitting: Bool = false,
        using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) -> PhysicalAddress {
        try run(
            RangeChange(
                operation: .unmap, first: virtual.rawValue, byteCount: size.byteCount, exactLevel: level(of: size),
                splitting: splitting),
            using: &source)
    }

    /// Gives the page of `size` at `virtual` other permissions; a demand entry takes them for the page that it will be.
    /// Otherwise as `unmap`.
    /// - Throws: as `unmap`, and `userPageInKernelHalf`. Nothing has changed then.
    public func protect(
        _ virtual: VirtualAddress, size: PageSize = .size4KiB, permissions: PagePermissions, splitting: Bool = false,
        using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) {
        try run(
            RangeChange(
                operation: .protect(permissions), first: virtual.rawValue, byteCount: size.byteCount,
                exactLevel: level(of: size), splitting: splitting),
            using: &source)
    }
}

/// Ranges of whole 4 KiB pages, all or nothing. An empty range is no change. Any context; interrupts are disabled for
/// the time that the whole range takes, at most two visits to each entry.
extension PageTables {
    /// Maps `range` to the memory from `physical` on, with the largest pages that the alignment of both, what is there
    /// already and the CPU allow.
    ///
    /// - Throws: as `map`.
    public func mapRange(
        _ range: VirtualRange, to physical: PhysicalAddress, permissions: PagePermissions,
        using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) {
        if range.isEmpty { return }
        try run(
            RangeChange(
                operation: .map(physical, permissions), first: range.start.rawValue, byteCount: range.byteCount),
            using: &source)
    }

    /// Removes all pages of `range`, which must be mapped from end to end. `clear` is for ranges with gaps.
    ///
    /// - Throws: as `unmap`; `insideLargePage` where a page lies across an end of the range and is not to be split.
    public func unmapRange(
        _ range: VirtualRange, splitting: Bool = false, using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) {
        if range.isEmpty { return }
        try run(
            RangeChange(
                operation: .unmap, first: range.start.rawValue, byteCount: range.byteCount, splitting: splitting),
            using: &source)
    }

    /// Gives all pages of `range` other permissions; each must be mapped or a demand entry.
    ///
    /// - Throws: as `unmapRange`, and `userPageInKernelHalf`.
    public func protectRange(
        _ range: VirtualRange, permissions: PagePermissions, splitting: Bool = false,
        using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) {
        if range.isEmpty { return }
        try run(
            RangeChange(
                operation: .protect(permissions), first: range.start.rawValue, byteCount: range.byteCount,
                splitting: splitting),
            using: &source)
    }
}

/// One permission at a time, the others as they are, page by page: Linux's `set_memory_*` for one range of addresses.
/// What else leads to the same memory is the caller's business. As `protectRange` with `splitting`; also
/// `writableAndExecutable`, with nothing changed.
extension PageTables {
    /// Adds permissions to pages, and takes others away.
    /// - Parameters:
    ///   - range: whole 4 KiB pages, each mapped or a demand entry.
    ///   - adding: what each page is to allow, whatever it did.
    ///   - removing: what none of them is to allow any more. What is in both is allowed.
    ///   - source: gives the tables that splitting needs.
    /// - Throws: as `protectRange` with `splitting`, and `writableAndExecutable`. Nothing has changed then.
    public func adjustRange(
        _ range: VirtualRange, adding: PagePermissions = .none, removing: PagePermissions = .none,
        using source: inout some TableFrameSource & ~Copyable
    ) throws(PagingError) {
        if range.isEmpty { return }
        try run(
            RangeChange(
                operation: .adjust(adding: adding, removing: removing.subtracting(.read)),
                first: range.start.rawValue, byteCount: range.byteCount, splitting: true),
            using: &source)
    }
}

/// Questions. Any context; O(1).
extension PageTables {
    /// What the tables say about `virtual`, any byte of a page.
    public func lookup(_ virtual: VirtualAddress) -> PageLookup {
        lock.withLock { lookupUnlocked(virtual) }
    }

    /// `lookup` without the lock: for fatal reports, when no other CPU runs any more and this one may hold it.
    public func lookupUnlocked(_ virtual: VirtualAddress) -> PageLookup {
        if !features.isCanonical(virtual.rawValue) { return .none }
        var cursor = cursor
        cursor.seek(virtual.rawValue)
        let entry = cursor.entry
        if entry.isPresent {
            let size = pageSize(ofLevel: cursor.level)
            let offset = virtual.rawValue & (size.byteCount &- 1)
            return .mapped(
                Translation(
                    physical: PhysicalAddress(entry.pageAddress(size: size).rawValue &+ offset), size: size,
                    permissions: entry.permissions(size: size)))
        }
        if entry.isDemand || entry.isDueStackPage { return .demand(entry.permissions()) }
        return entry.isGuard ? .guardPage : .none
    }

    /// What `virtual` is mapped to; nil where no page is.
    public func translate(_ virtual: VirtualAddress) -> Translation? {
        if case .mapped(let translation) = lookup(virtual) { return translation }
        return nil
    }
}
