import MemoryPrimitives
import PageFrames
import Slab

/// Memory from kmalloc where that has it, and else from vmalloc: for tables that may be large and need not be contiguous.
///
/// Any context, interrupt handlers included; an allocation with `.directReclaim` may wait.
extension Vmalloc {
    /// Memory of `byteCount` bytes.
    ///
    /// More than a page is not sought with much effort, nor with a report on failure, as long as vmalloc can give it.
    /// - Parameters:
    ///   - byteCount: the size.
    ///   - flags: `.dma` and `.dma32` are obeyed, `.zero` clears.
    /// - Returns: an address to be given to `kvfree`; that of no memory (`Kmalloc.zeroSizeAddress`) for 0 bytes; nil where
    ///   there is no memory.
    /// - Complexity: as `kmalloc`, and beyond that as `vmalloc`.
    ///   Any context, unless the flags let it wait.
    public func kvmalloc(_ byteCount: UInt, _ flags: AllocationFlags = .kernel) -> VirtualAddress? {
        let isLarge = byteCount > PageSize.byteCount
        let direct = isLarge ? flags | .noWarn | .noRetry : flags
        if let memory = unsafe kmalloc.value.kmalloc(byteCount, direct) {
            return VirtualAddress(UInt(bitPattern: memory))
        }
        return isLarge ? allocate(byteCount, flags: flags, name: "kvmalloc") : nil
    }

    /// `kvmalloc`, cleared.
    /// - Complexity: as `kvmalloc(_:_:)`. Any context, unless the flags let it wait.
    public func kvzalloc(_ byteCount: UInt, _ flags: AllocationFlags = .kernel) -> VirtualAddress? {
        kvmalloc(byteCount, flags | .zero)
    }

    /// Memory for `n` elements of `size` bytes; nil, too, where their product overflows.
    /// - Complexity: as `kvmalloc(_:_:)`. Any context, unless the flags let it wait.
    public func kvmalloc_array(_ n: UInt, _ size: UInt, _ flags: AllocationFlags = .kernel) -> VirtualAddress? {
        let (byteCount, overflow) = n.multipliedReportingOverflow(by: size)
        return overflow ? nil : kvmalloc(byteCount, flags)
    }

    /// `kvmalloc_array`, cleared.
    /// - Complexity: as `kvmalloc(_:_:)`. Any context, unless the flags let it wait.
    public func kvcalloc(_ n: UInt, _ size: UInt, _ flags: AllocationFlags = .kernel) -> VirtualAddress? {
        kvmalloc_array(n, size, flags | .zero)
    }

    /// Frees what one of these returned, as `kfree` or `vfree` would; nil is a no-op.
    /// - Complexity: as `kfree` or `vfree`. Any context.
    public func kvfree(_ address: VirtualAddress?) {
        guard let address else { return }
        if ranges.space.contains(address) { return vfree(address) }
        // kmalloc looks at the address before it follows it.
        unsafe kmalloc.value.kfree(UnsafeMutableRawPointer(bitPattern: address.rawValue))
    }
}
