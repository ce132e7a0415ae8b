import MemoryPrimitives

// The names under which a kernel author looks for these calls. Where Linux has a `struct page *`, there is a frame's
// number here; where it has an address as an integer, a pointer.
extension PageFrameAllocator {
    // MARK: Blocks

    /// `allocate(order:flags:)`.
    /// - Complexity: as `allocate(order:flags:)`. Any context, unless the flags let it wait.
    @inline(__always)
    public func alloc_pages(_ flags: AllocationFlags, _ order: Int) -> PageFrameNumber? {
        allocate(order: order, flags: flags)
    }

    /// `allocate(order:flags:)` from a node. There is node 0 alone: nil for another, and for a mask without it.
    /// - Complexity: as `allocate(order:flags:)`. Any context, unless the flags let it wait.
    @inline(__always)
    public func __alloc_pages(
        _ flags: AllocationFlags, _ order: Int, _ node: Int, _ nodemask: UInt?
    ) -> PageFrameNumber? {
        node == 0 && (nodemask ?? 1) & 1 != 0 ? allocate(order: order, flags: flags) : nil
    }

    /// `allocate(order:flags:)`, one frame.
    /// - Complexity: as `allocate(order:flags:)`. Any context, unless the flags let it wait.
    @inline(__always)
    public func alloc_page(_ flags: AllocationFlags) -> PageFrameNumber? { allocate(order: 0, flags: flags) }

    /// `free(_:order:)`.
    /// - Complexity: as `free(_:order:)`. Any context.
    @inline(__always)
    public func __free_pages(_ frame: PageFrameNumber, _ order: Int) { free(frame, order: order) }

    /// `free(_:order:)`, one frame.
    /// - Complexity: as `free(_:order:)`. Any context.
    @inline(__always)
    public func __free_page(_ frame: PageFrameNumber) { free(frame, order: 0) }

    /// `split(_:order:)`.
    /// - Complexity: O(frames). Any context.
    public func split_page(_ frame: PageFrameNumber, _ order: Int) { split(frame, order: order) }

    /// `allocateBulk(into:flags:)`: fills `pages` from its start. (Linux passes over elements that are not null; a
    /// frame number never is.)
    /// - Returns: how many there were.
    /// - Complexity: O(frames). Any context, unless the flags let it wait.
    public func alloc_pages_bulk(
        _ flags: AllocationFlags, _ count: Int, _ pages: UnsafeMutablePointer<PageFrameNumber>
    ) -> Int {
        unsafe allocateBulk(into: UnsafeMutableBufferPointer(start: pages, count: max(0, count)), flags: flags)
    }

    // MARK: Blocks by address

    /// `allocatePointer(order:flags:)`.
    /// - Complexity: as `allocate(order:flags:)`. Any context, unless the flags let it wait.
    @inline(__always)
    public func __get_free_pages(_ flags: AllocationFlags, _ order: Int) -> UnsafeMutableRawPointer? {
        unsafe allocatePointer(order: order, flags: flags)
    }

    /// `allocatePointer(order:flags:)`.
    /// - Complexity: as `allocate(order:flags:)`. Any context, unless the flags let it wait.
    @inline(__always)
    public func get_free_pages(_ flags: AllocationFlags, _ order: Int) -> UnsafeMutableRawPointer? {
        unsafe allocatePointer(order: order, flags: flags)
    }

    /// `allocatePointer(order:flags:)`, one frame.
    /// - Complexity: as `allocate(order:flags:)`. Any context, unless the flags let it wait.
    @inline(__always)
    public func __get_free_page(_ flags: AllocationFlags) -> UnsafeMutableRawPointer? {
        unsafe allocatePointer(order: 0, flags: flags)
    }

    /// `allocatePointer(order:flags:)`, one frame.
    /// - Complexity: as `allocate(order:flags:)`. Any context, unless the flags let it wait.
    @inline(__always)
    public func get_free_page(_ flags: AllocationFlags) -> UnsafeMutableRawPointer? {
        unsafe allocatePointer(order: 0, flags: flags)
    }

    /// `allocatePointer(order:flags:)`, one frame, cleared.
    /// - Complexity: as `allocate(order:flags:)`. Any context, unless the flags let it wait.
    @inline(__always)
    public func get_zeroed_page(_ flags: AllocationFlags) -> UnsafeMutableRawPointer? {
        unsafe allocatePointer(order: 0, flags: flags | .zero)
    }

    /// `free(_:order:)` with an address; nil is passed over.
    /// - Complexity: as `free(_:order:)`. Any context.
    @inline(__always)
    public func free_pages(_ pointer: UnsafeMutableRawPointer?, _ order: Int) { unsafe free(pointer, order: order) }

    /// `free(_:order:)` with an address, one frame; nil is passed over.
    /// - Complexity: as `free(_:order:)`. Any context.
    @inline(__always)
    public func free_page(_ pointer: UnsafeMutableRawPointer?) { unsafe free(pointer, order: 0) }

    /// `allocateExact(byteCount:flags:)`.
    /// - Complexity: O(frames). Any context, unless the flags let it wait.
    public func alloc_pages_exact(_ byteCount: UInt, _ flags: AllocationFlags) -> UnsafeMutableRawPointer? {
        unsafe allocateExact(byteCount: byteCount, flags: flags).map { unsafe directMap.pointer(to: $0) }
    }

    /// `freeExact(_:byteCount:)` with an address; nil is passed over.
    /// - Complexity: O(frames). Any context.
    public func free_pages_exact(_ pointer: UnsafeMutableRawPointer?, _ byteCount: UInt) {
        unsafe freeExact(pointer, byteCount: byteCount)
    }

    // MARK: Contiguous ranges

    /// `allocateContiguous(_:flags:)`.
    /// - Throws: why the frames cannot be had; nothing has changed then.
    /// - Complexity: O(frames), and copying what is moved. Any context, unless the flags let it wait.
    public func alloc_contig_range(
        _ range: Range<PageFrameNumber>, _ flags: AllocationFlags
    ) throws(ContiguousError) { try allocateContiguous(range, flags: flags) }

    /// `freeContiguous(_:)`: `count` frames from the first.
    /// - Complexity: O(frames). Any context.
    public func free_contig_range(_ first: PageFrameNumber, _ count: UInt) {
        freeContiguous(first..<max(first, first + count))
    }

    /// `allocateContiguousArea(byteCount:alignment:flags:)`: nil where it throws.
    /// - Parameters:
    ///   - count: in frames.
    ///   - alignment: log2 of the alignment in frames.
    ///   - flags: as for `allocateContiguousArea`.
    /// - Complexity: O(frames in the area), and copying what is moved. Any context, unless the flags let it wait.
    public func cma_alloc(_ count: UInt, _ alignment: Int, _ flags: AllocationFlags = .kernel) -> PageFrameNumber? {
        guard 0 <= alignment, alignment < 52, count <= UInt.max >> PageSize.shift else { return nil }
        let bytes = PageSize.byteCount
        return try? allocateContiguousArea(
            byteCount: count * bytes, alignment: bytes << UInt(alignment), flags: flags
        ).lowerBound
    }

    /// `releaseContiguousArea(_:)`: `count` frames from the first.
    /// - Complexity: O(frames). Any context.
    public func cma_release(_ first: PageFrameNumber, _ count: UInt) -> Bool {
        releaseContiguousArea(first..<max(first, first + count))
    }

    // MARK: References

    /// `getPage(_:)`.
    /// - Complexity: O(1); O(orders) inside a compound block. Any context.
    @inline(__always)
    public func get_page(_ frame: PageFrameNumber) { getPage(frame) }

    /// `tryGetPage(_:)`.
    /// - Complexity: O(1); O(orders) inside a compound block. Any context.
    @inline(__always)
    public func get_page_unless_zero(_ frame: PageFrameNumber) -> Bool { tryGetPage(frame) }

    /// `putPage(_:)`.
    /// - Complexity: as `free(_:order:)`. Any context.
    @inline(__always)
    public func put_page(_ frame: PageFrameNumber) { putPage(frame) }

    /// `referenceCount(of:)`.
    /// - Complexity: O(1); O(orders) inside a compound block. Any context.
    @inline(__always)
    public func page_count(_ frame: PageFrameNumber) -> UInt32 { referenceCount(of: frame) }

    /// The first frame of the compound block that `frame` lies in; for any other frame that itself.
    /// - Complexity: O(orders). Any context.
    @inline(__always)
    public func compound_head(_ frame: PageFrameNumber) -> PageFrameNumber { compoundBlock(of: frame)?.head ?? frame }

    /// The order of the compound block that `frame` lies in; 0 where there is none.
    /// - Complexity: O(orders). Any context.
    @inline(__always)
    public func compound_order(_ frame: PageFrameNumber) -> Int { compoundBlock(of: frame)?.order ?? 0 }

    /// The bytes of the compound block that `frame` lies in; one page where there is none.
    /// - Complexity: O(orders). Any context.
    @inline(__always)
    public func page_size(_ frame: PageFrameNumber) -> UInt { PageSize.byteCount << UInt(compound_order(frame)) }

    // MARK: Addresses

    /// The physical address of a byte in the direct map.
    /// - Complexity: O(1). Any context.
    @inline(__always)
    public func virt_to_phys(_ pointer: UnsafeRawPointer) -> PhysicalAddress {
        directMap.physicalAddress(of: VirtualAddress(UInt(bitPattern: pointer)))
    }

    /// Where the direct map shows a physical address, which must be RAM.
    /// - Complexity: O(1). Any context.
    @inline(__always)
    public func phys_to_virt(_ address: PhysicalAddress) -> UnsafeMutableRawPointer {
        unsafe directMap.pointer(to: address)
    }

    /// A frame's number as an integer.
    /// - Complexity: O(1). Any context.
    @inline(__always)
    public func page_to_pfn(_ frame: PageFrameNumber) -> UInt { frame.rawValue }

    /// The frame with that number, be there one or not.
    /// - Complexity: O(1). Any context.
    @inline(__always)
    public func pfn_to_page(_ number: UInt) -> PageFrameNumber { PageFrameNumber(number) }

    /// Whether the allocator knows the frame with that number: it is, or was once, free.
    /// - Complexity: O(1). Any context.
    @inline(__always)
    public func pfn_valid(_ number: UInt) -> Bool { unsafe table.descriptor(of: PageFrameNumber(number)) != nil }

    /// `frame(at:)`.
    /// - Complexity: O(1). Any context.
    @inline(__always)
    public func virt_to_page(_ pointer: UnsafeRawPointer) -> PageFrameNumber { unsafe frame(at: pointer) }

    /// Where the direct map shows a frame, which must be RAM.
    /// - Complexity: O(1). Any context.
    @inline(__always)
    public func page_to_virt(_ frame: PageFrameNumber) -> UnsafeMutableRawPointer {
        unsafe directMap.pointer(to: frame)
    }

    /// As `page_to_virt`.
    /// - Complexity: O(1). Any context.
    @inline(__always)
    public func page_address(_ frame: PageFrameNumber) -> UnsafeMutableRawPointer {
        unsafe directMap.pointer(to: frame)
    }

    /// The physical address of a frame's first byte.
    /// - Complexity: O(1). Any context.
    @inline(__always)
    public func page_to_phys(_ frame: PageFrameNumber) -> PhysicalAddress { frame.address }

    /// The frame that a physical address lies in.
    /// - Complexity: O(1). Any context.
    @inline(__always)
    public func phys_to_page(_ address: PhysicalAddress) -> PageFrameNumber { PageFrameNumber(containing: address) }
}
