import MemoryPrimitives
import Paging

// Linux's names for changes of permissions. What Linux answers with an error number is thrown: see `setMemory`.
extension KernelMemory {
    /// Makes `numpages` pages from `addr` on read-only, what the direct map shows of them too.
    /// - Throws: as `setMemory(_:_:)`; nothing has changed then.
    /// - Complexity: O(pages). Any context.
    @inline(__always)
    public func set_memory_ro(_ addr: UInt, _ numpages: Int) throws(PagingError) {
        try setMemory(pages(addr, numpages), .readOnly)
    }

    /// Makes them writable again.
    /// - Throws: as `setMemory(_:_:)`; nothing has changed then.
    /// - Complexity: O(pages). Any context.
    @inline(__always)
    public func set_memory_rw(_ addr: UInt, _ numpages: Int) throws(PagingError) {
        try setMemory(pages(addr, numpages), .writable)
    }

    /// Makes them executable: read-only pages, and no address allows a write to them then.
    /// - Throws: as `setMemory(_:_:)`; nothing has changed then.
    /// - Complexity: O(pages). Any context.
    @inline(__always)
    public func set_memory_x(_ addr: UInt, _ numpages: Int) throws(PagingError) {
        try setMemory(pages(addr, numpages), .executable)
    }

    /// Makes them not executable.
    /// - Throws: as `setMemory(_:_:)`; nothing has changed then.
    /// - Complexity: O(pages). Any context.
    @inline(__always)
    public func set_memory_nx(_ addr: UInt, _ numpages: Int) throws(PagingError) {
        try setMemory(pages(addr, numpages), .notExecutable)
    }

    /// - Throws: `notCanonical` for a negative number, and where the range wraps round.
    private func pages(_ start: UInt, _ count: Int) throws(PagingError) -> VirtualRange {
        let (byteCount, isTooLarge) = UInt(bitPattern: count).multipliedReportingOverflow(by: PageSize.byteCount)
        let (end, wraps) = start.addingReportingOverflow(byteCount)
        if count < 0 || isTooLarge || wraps { throw .notCanonical }
        return VirtualRange(VirtualAddress(start), VirtualAddress(end))
    }
}
