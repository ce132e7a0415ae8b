import MemoryPrimitives

/// The locks that page faults take. Two CPUs that touch the same page come one after the other, so that the second finds it
/// mapped; touches of different pages rarely meet.
///
///     16 for pages: one for all windows of 16 pages with the same low bits
///      8 for 2 MiB that are due in one entry        8 for 1 GiB
///
/// Whoever changes an entry of a size holds the lock of that size, and none of the others.
///
/// They live in memory from kmalloc, each on a cache line of its own, for as long as the kernel does. (Swift 6.3's
/// Embedded mode cannot destroy an `InlineArray` of values that hold an `Atomic`.)
@safe
struct FaultLocks<P: Platform>: ~Copyable {
    private static var countForPages: Int { 16 }
    private static var countForLarge: Int { 8 }
    private static var count: Int { countForPages + 2 * countForLarge }
    private static var stride: Int { 64 }

    /// Bytes of memory that `init` needs.
    static var byteCount: UInt { UInt(count * stride) }

    private let base: UnsafeMutableRawPointer

    /// - Parameter memory: `byteCount` bytes, aligned to 64, never given back.
    @unsafe
    init(in memory: UnsafeMutableRawPointer) {
        unsafe base = memory
        for index in 0..<Self.count {
            unsafe (memory + index * Self.stride).bindMemory(to: SpinLock<P>.self, capacity: 1)
                .initialize(to: SpinLock<P>())
        }
    }

    private subscript(index: Int) -> SpinLock<P> {
        @inline(__always)
        unsafeAddress {
            // Initialised by init and never given back; the mask keeps the index within.
            unsafe UnsafePointer(
                (base + (index & (Self.count &- 1)) &* Self.stride).assumingMemoryBound(to: SpinLock<P>.self))
        }
    }

    /// The lock for entries of `size` at `address`: for pages, of the window of 64 KiB around it.
    @inline(__always)
    private static func index(_ address: VirtualAddress, _ size: PageSize) -> Int {
        let number = Int(bitPattern: address.rawValue &>> (size == .size4KiB ? 16 : size.shift))
        if size == .size4KiB { return number & (countForPages &- 1) }
        return (size == .size2MiB ? countForPages : countForPages &+ countForLarge) &+ number & (countForLarge &- 1)
    }

    /// Runs `body` with the lock for entries of `size` at `address` held.
    @inline(__always)
    borrowing func withLock<Result>(
        for address: VirtualAddress, size: PageSize = .size4KiB, _ body: () -> Result
    ) -> Result {
        self[Self.index(address, size)].withLock(body)
    }

    /// True when this CPU is handling a fault already: the handler itself has faulted.
    @inline(__always)
    borrowing func isHeldByThisCPU(for address: VirtualAddress, size: PageSize = .size4KiB) -> Bool {
        self[Self.index(address, size)].isHeldByThisCPU
    }

    /// Returns when every fault that was being handled at the time of the call is over.
    /// - Parameter includingLarge: whether there may be faults of entries for more than a page.
    borrowing func passThroughAll(includingLarge: Bool) {
        for index in 0..<(includingLarge ? Self.count : Self.countForPages) { self[index].withLock {} }
    }
}
