import MemoryPrimitives
import PageFrames

/// vmalloc by the names that kernel authors look for. Any context, interrupt handlers included; nothing sleeps.
extension Vmalloc {
    /// `byteCount` bytes that are contiguous in virtual addresses, mapped at their first touch.
    /// - Returns: nil for 0 bytes and where they cannot be had.
    public func vmalloc(_ byteCount: UInt) -> VirtualAddress? { allocate(byteCount) }

    /// As `vmalloc`, and every byte is 0.
    public func vzalloc(_ byteCount: UInt) -> VirtualAddress? {
        allocate(byteCount, flags: .kernel | .zero, name: "vzalloc")
    }

    /// Frees what `vmalloc` or `vzalloc` returned; nil is a no-op.
    public func vfree(_ address: VirtualAddress?) { free(address) }
}
