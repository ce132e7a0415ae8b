import MemoryPrimitives

/// The locks that page faults take, one for all pages with the same low bits: two CPUs that touch the same page come one
/// after the other, so that the second finds it mapped; touches of different pages rarely meet.
struct FaultLocks<P: Platform>: ~Copyable {
    private let locks = InlineArray<16, SpinLock<P>> { _ in SpinLock<P>() }

    @inline(__always)
    private static func index(_ address: VirtualAddress) -> Int {
        Int(truncatingIfNeeded: (address.rawValue >> PageSize.shift) & 15)
    }

    /// Runs `body` with the lock for the page at `address` held.
    @inline(__always)
    borrowing func withLock<Result>(for address: VirtualAddress, _ body: () -> Result) -> Result {
        locks[Self.index(address)].withLock(body)
    }

    /// True when this CPU is handling a fault already: the handler itself has faulted.
    borrowing func isHeldByThisCPU(for address: VirtualAddress) -> Bool {
        locks[Self.index(address)].isHeldByThisCPU
    }

    /// Returns when every fault that was being handled at the time of the call is over.
    borrowing func passThroughAll() {
        for index in 0..<16 { locks[index].withLock {} }
    }
}
