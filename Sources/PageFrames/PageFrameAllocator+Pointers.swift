import MemoryPrimitives

// Blocks by the address at which the direct map shows them.
extension PageFrameAllocator {
    /// Allocates a block as `allocate`, and returns where it can be reached.
    /// - Returns: its first byte in the direct map; nil where there is no such block.
    @inline(__always)
    public func allocatePointer(order: Int, flags: AllocationFlags = .kernel) -> UnsafeMutableRawPointer? {
        guard let frame = allocate(order: order, flags: flags) else { return nil }
        return unsafe directMap.pointer(to: frame)
    }

    /// Frees a block as `free`, by the address of its first byte. nil is nobody's, and nothing is done.
    ///
    /// An address that is not the start of a page is reported as `misalignedFree`, and one outside the direct map as
    /// `wildFree`, both with the address itself; nothing changes.
    @inline(__always)
    public func free(_ pointer: UnsafeMutableRawPointer?, order: Int) {
        guard let pointer = unsafe pointer else { return }
        guard let frame = unsafe frame(toFree: pointer, in: "free_pages") else { return }
        free(frame, order: order)
    }

    /// Frees what `allocateExact` returned, by its address. As `free(_:order:)` with an address.
    public func freeExact(_ pointer: UnsafeMutableRawPointer?, byteCount: UInt) {
        guard let pointer = unsafe pointer else { return }
        guard let frame = unsafe frame(toFree: pointer, in: "free_pages_exact") else { return }
        freeExact(frame, byteCount: byteCount)
    }

    /// The frame that the direct map shows at `pointer`, at whatever byte of it. For an address outside the direct map a
    /// frame that there is none of. - Complexity: O(1).
    @inline(__always)
    public func frame(at pointer: UnsafeRawPointer) -> PageFrameNumber {
        PageFrameNumber(
            containing: directMap.physicalAddress(of: VirtualAddress(UInt(bitPattern: pointer))))
    }

    @inline(__always)
    private func frame(toFree pointer: UnsafeMutableRawPointer, in call: StaticString) -> PageFrameNumber? {
        let frame = unsafe frame(at: pointer)
        let address = UInt(bitPattern: pointer)
        if address & (PageSize.byteCount &- 1) == 0, frame.rawValue >> Section.shift < table.sectionCount {
            return frame
        }
        reportBadPointer(address, frame, call)
        return nil
    }

    @inline(never)
    private func reportBadPointer(_ address: UInt, _ frame: PageFrameNumber, _ call: StaticString) {
        let isOutside = frame.rawValue >> Section.shift >= table.sectionCount
        P.report(
            MemoryViolation(
                isOutside ? .wildFree : .misalignedFree, in: call, at: address,
                isOutside
                    ? "the address is not one of RAM in the direct map" : "the address is not the start of a page",
                isOutside ? 0 : address & (PageSize.byteCount - 1)))
    }
}
