import MemoryPrimitives
import PageFrames

// The names under which a kernel author looks for these calls.
extension Kmalloc {
    /// `allocate(_:flags:)`.
    /// - Complexity: as `allocate(_:flags:)`. Any context, unless the flags let it wait.
    @inline(__always)
    public func kmalloc(_ size: UInt, _ flags: AllocationFlags) -> UnsafeMutableRawPointer? {
        unsafe allocate(size, flags: flags)
    }

    /// `allocate(_:flags:)`, cleared.
    /// - Complexity: as `allocate(_:flags:)`. Any context, unless the flags let it wait.
    @inline(__always)
    public func kzalloc(_ size: UInt, _ flags: AllocationFlags) -> UnsafeMutableRawPointer? {
        unsafe allocate(size, flags: flags.union(.zero))
    }

    /// Memory for `n` elements of `size` bytes; nil, too, where their product overflows.
    /// - Complexity: as `allocate(_:flags:)`. Any context, unless the flags let it wait.
    @inline(__always)
    public func kmalloc_array(_ n: UInt, _ size: UInt, _ flags: AllocationFlags) -> UnsafeMutableRawPointer? {
        let (byteCount, overflow) = n.multipliedReportingOverflow(by: size)
        return overflow ? nil : unsafe allocate(byteCount, flags: flags)
    }

    /// `kmalloc_array`, cleared.
    /// - Complexity: as `allocate(_:flags:)`. Any context, unless the flags let it wait.
    @inline(__always)
    public func kcalloc(_ n: UInt, _ size: UInt, _ flags: AllocationFlags) -> UnsafeMutableRawPointer? {
        unsafe kmalloc_array(n, size, flags.union(.zero))
    }

    /// `reallocate(_:_:flags:)`.
    /// - Complexity: O(1), and O(bytes) where the contents move. Any context, unless the flags let it wait.
    @inline(__always)
    public func krealloc(
        _ pointer: UnsafeMutableRawPointer?, _ size: UInt, _ flags: AllocationFlags
    ) -> UnsafeMutableRawPointer? {
        unsafe reallocate(pointer, size, flags: flags)
    }

    /// `free(_:)`.
    /// - Complexity: as `free(_:)`. Any context.
    @inline(__always)
    public func kfree(_ pointer: UnsafeMutableRawPointer?) { unsafe free(pointer) }

    /// The bytes that the allocation really has which an address lies in. `size(of:)` also checks that the address is an
    /// allocation's.
    /// - Complexity: O(1). Any context.
    @inline(__always)
    public func ksize(_ pointer: UnsafeRawPointer?) -> UInt { unsafe sizeAround(pointer) }
}
