import MemoryPrimitives
import PageFrames

// Linux's names for the calls on sizes, arrays and nodes.
extension Kmalloc {
    /// `largestByteCount`.
    public static var KMALLOC_MAX_SIZE: UInt { largestByteCount }

    /// `zeroSizeAddress`.
    public static var ZERO_SIZE_PTR: UnsafeMutableRawPointer {
        // An address that nothing is mapped at, and not null.
        unsafe UnsafeMutableRawPointer(bitPattern: zeroSizeAddress).unsafelyUnwrapped
    }

    /// The bytes that `kmalloc(size)` would really give; `size` for 0, and for more than it gives.
    /// - Complexity: O(size classes).
    ///   Any context.
    public func kmalloc_size_roundup(_ size: UInt) -> UInt {
        if size == 0 || size > Self.largestByteCount { return size }
        if let sizeClass = SizeClass(fitting: size) { return sizeClass.byteCount }
        return PageSize.byteCount << UInt(LargeBlocks<P>.order(forByteCount: size))
    }

    /// `krealloc` to `n` elements of `size` bytes; nil, with the old memory as it was, where their product overflows.
    /// - Complexity: O(1), and O(bytes) where the contents move. Any context, unless the flags let it wait.
    @inline(__always)
    public func krealloc_array(
        _ pointer: UnsafeMutableRawPointer?, _ n: UInt, _ size: UInt, _ flags: AllocationFlags
    ) -> UnsafeMutableRawPointer? {
        let (byteCount, overflow) = n.multipliedReportingOverflow(by: size)
        return overflow ? nil : unsafe krealloc(pointer, byteCount, flags)
    }

    /// `kmalloc` on a node. - Parameter node: 0, the only one, or -1 for any; nil is returned for others.
    /// - Complexity: as `allocate(_:flags:)`. Any context, unless the flags let it wait.
    @inline(__always)
    public func kmalloc_node(_ size: UInt, _ flags: AllocationFlags, _ node: Int) -> UnsafeMutableRawPointer? {
        isNode(node) ? unsafe allocate(size, flags: flags) : nil
    }

    /// `kmalloc_node`, cleared.
    /// - Complexity: as `allocate(_:flags:)`. Any context, unless the flags let it wait.
    @inline(__always)
    public func kzalloc_node(_ size: UInt, _ flags: AllocationFlags, _ node: Int) -> UnsafeMutableRawPointer? {
        unsafe kmalloc_node(size, flags.union(.zero), node)
    }
}
