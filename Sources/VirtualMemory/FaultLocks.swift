import MemoryPrimitives
import Slab

/// The locks that page faults take, one for all pages with the same low bits: two CPUs that touch the same page come one
/// after the other, so that the second finds it mapped; touches of different pages rarely meet.
///
/// They stand in memory of their own: the Embedded compiler of Swift 6.3 crashes on an `InlineArray` of values that are not
/// copyable within another such value.
@safe
struct FaultLocks<P: Platform>: ~Copyable, @unchecked Sendable {
    private static var count: Int { 16 }

    private let locks: UnsafeMutablePointer<SpinLock<P>>

    /// - Returns: nil where there is no memory.
    init?(kmalloc: Permanent<Kmalloc<P>>) {
        let byteCount = UInt(Self.count * MemoryLayout<SpinLock<P>>.stride)
        guard let memory = unsafe kmalloc.value.allocate(byteCount) else { return nil }
        // Fresh memory for so many locks, aligned for any type, and this value's for good.
        unsafe locks = memory.bindMemory(to: SpinLock<P>.self, capacity: Self.count)
        for index in 0..<Self.count { unsafe (locks + index).initialize(to: SpinLock<P>()) }
    }

    /// Gives the memory back. Nobody may hold a lock or take one again.
    consuming func free(to kmalloc: Permanent<Kmalloc<P>>) { unsafe kmalloc.value.free(locks) }

    @inline(__always)
    private static func index(_ address: VirtualAddress) -> Int {
        Int(truncatingIfNeeded: (address.rawValue >> PageSize.shift) & UInt(count - 1))
    }

    /// Runs `body` with the lock for the page at `address` held.
    @inline(__always)
    borrowing func withLock<Result>(for address: VirtualAddress, _ body: () -> Result) -> Result {
        // The index is below count.
        unsafe locks[Self.index(address)].withLock(body)
    }

    /// True when this CPU is handling a fault already: the handler itself has faulted.
    borrowing func isHeldByThisCPU(for address: VirtualAddress) -> Bool {
        // The index is below count.
        unsafe locks[Self.index(address)].isHeldByThisCPU
    }

    /// Returns when every fault that was being handled at the time of the call is over.
    borrowing func passThroughAll() {
        for index in 0..<Self.count { unsafe locks[index].withLock {} }
    }
}
