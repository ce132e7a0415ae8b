import MemoryPrimitives

/// The locks that page faults take, one for all pages with the same low bits: two CPUs that touch the same page come one
/// after the other, so that the second finds it mapped; touches of different pages rarely meet.
///
/// They live in memory from kmalloc, each on a cache line of its own, for as long as the kernel does. (Swift 6.3's
/// Embedded mode cannot destroy an `InlineArray` of values that hold an `Atomic`.)
@safe
struct FaultLocks<P: Platform>: ~Copyable {
    private static var count: Int { 16 }
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

    @inline(__always)
    private static func index(_ address: VirtualAddress) -> Int {
        Int(truncatingIfNeeded: (address.rawValue >> PageSize.shift) & UInt(count &- 1))
    }

    /// Runs `body` with the lock for the page at `address` held.
    @inline(__always)
    borrowing func withLock<Result>(for address: VirtualAddress, _ body: () -> Result) -> Result {
        self[Self.index(address)].withLock(body)
    }

    /// True when this CPU is handling a fault already: the handler itself has faulted.
    borrowing func isHeldByThisCPU(for address: VirtualAddress) -> Bool {
        self[Self.index(address)].isHeldByThisCPU
    }

    /// Returns when every fault that was being handled at the time of the call is over.
    borrowing func passThroughAll() {
        for index in 0..<Self.count { self[index].withLock {} }
    }
}
