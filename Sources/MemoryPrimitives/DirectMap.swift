/// The one way to reach physical memory: every physical address is mapped at a fixed distance.
///
/// In the kernel the distance is drawn at boot, or `0xffff_8880_0000_0000`, as in Linux. On the host it leads into an arena, so that an
/// allocator test runs byte for byte what the kernel runs.
public struct DirectMap: Sendable {
    /// The virtual address of physical address 0. On the host that address itself need not be mapped.
    public let base: UInt

    /// A map that shows physical address 0 at `base`.
    @inline(__always)
    public init(base: UInt) { self.base = base }

    /// Where the memory at `address` is seen through the map. O(1); whether there is memory is not looked at.
    @inline(__always)
    public func virtualAddress(of address: PhysicalAddress) -> VirtualAddress {
        VirtualAddress(base &+ address.rawValue)
    }

    /// The inverse of `virtualAddress(of:)`. For an address outside the direct map the result means nothing: callers
    /// that take addresses from outside check it against the frame table.
    @inline(__always)
    public func physicalAddress(of address: VirtualAddress) -> PhysicalAddress {
        PhysicalAddress(address.rawValue &- base)
    }

    /// A pointer to the byte at `address`, which must be RAM that the direct map covers.
    @inline(__always)
    public func pointer(to address: PhysicalAddress) -> UnsafeMutableRawPointer {
        // The direct map covers all RAM and its base is not zero, so that the sum is never null.
        unsafe UnsafeMutableRawPointer(bitPattern: base &+ address.rawValue).unsafelyUnwrapped
    }

    /// A pointer to the first byte of `frame`.
    @inline(__always)
    public func pointer(to frame: PageFrameNumber) -> UnsafeMutableRawPointer {
        unsafe pointer(to: frame.address)
    }
}
