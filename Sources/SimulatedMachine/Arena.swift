import MemoryPrimitives

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// The simulated machine's physical memory: host memory that costs something only where it is touched.
///
/// Physical address 0 is the arena's first byte, so that a machine of 64 GiB with holes is one mapping.
@safe
public final class Arena: @unchecked Sendable {
    /// The size of the memory; the first physical address that nothing answers.
    public let byteCount: UInt
    private let memory: UnsafeMutableRawPointer

    /// Memory of that size, all zeroes.
    /// - Parameter byteCount: the end of the highest physical address, a multiple of 4096.
    public init(byteCount: UInt) {
        precondition(byteCount > 0 && byteCount % PageSize.byteCount == 0)
        self.byteCount = byteCount
        // 1 GiB of slack, so that physical address 0 can be aligned as a real machine's is.
        unsafe mapping = mmap(
            nil, Int(byteCount + (1 << 30)), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)!
        precondition(unsafe mapping != MAP_FAILED, "the host gave no address space for the arena")
        unsafe memory = UnsafeMutableRawPointer(
            bitPattern: (UInt(bitPattern: mapping) + (1 << 30) - 1) & ~((1 << 30) - 1))!
    }

    private let mapping: UnsafeMutableRawPointer

    deinit { unsafe munmap(mapping, Int(byteCount + (1 << 30))) }

    /// The direct map that reaches this arena.
    public var directMap: DirectMap { unsafe DirectMap(base: UInt(bitPattern: memory)) }
}
