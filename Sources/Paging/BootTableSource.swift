import BootMemory
import MemoryPrimitives

/// Tables from the boot allocator, until the page frames have theirs.
///
/// For one CPU, as the boot allocator itself. The tables stay reserved as `pageTables` for the kernel's life, except
/// for those given back before `PageFrameAllocator` takes over.
@safe
public struct BootTableSource: TableFrameSource {
    private let allocator: UnsafeMutablePointer<BootAllocator>
    private let directMap: DirectMap
    private let limit: PhysicalAddress

    /// A source that takes frames from the boot allocator.
    /// - Parameters:
    ///   - allocator: outlives this value, and nobody else uses it during a call.
    ///   - directMap: reaches all memory below `limit`.
    ///   - limit: the end of what the tables in force map, above which no table may lie.
    @unsafe
    public init(allocator: UnsafeMutablePointer<BootAllocator>, directMap: DirectMap, below limit: PhysicalAddress) {
        unsafe self.allocator = allocator
        self.directMap = directMap
        self.limit = limit
    }

    /// A cleared frame below the limit; nil where there is none.
    /// - Complexity: as `BootAllocator.allocate`.
    public mutating func allocateTableFrame() -> PhysicalAddress? {
        // The allocator outlives this value and is ours during the call, by init's contract.
        let frame = unsafe allocator.pointee.allocate(
            byteCount: PageSize.byteCount, alignment: PageSize.byteCount, below: limit, owner: .pageTables)
        guard let frame else { return nil }
        // RAM below the limit, which the direct map reaches, just reserved for us.
        unsafe directMap.pointer(to: frame).initializeMemory(
            as: UInt64.self, repeating: 0, count: Int(bitPattern: PageSize.byteCount) / 8)
        return frame
    }

    /// Gives a frame back to the boot allocator.
    /// - Complexity: O(regions).
    public mutating func freeTableFrame(_ frame: PhysicalAddress) {
        // As in allocateTableFrame. Where the range cannot be recorded as free it stays reserved, which harms nobody.
        unsafe allocator.pointee.free(PhysicalRange(frame, frame + PageSize.byteCount))
    }
}
