import Synchronization

/// A lock that spins, with interrupts disabled on this CPU for as long as it is held.
///
///     unlocked --acquire--> locked --release--> unlocked
///
/// Saving the interrupt state is part of taking the lock, so that an interrupt handler on the same CPU can never find
/// it held and wait for ever. Not recursive. Lock order: fault lock, virtual ranges, page tables, list of caches, slab
/// cache, switch of the frame caches, frame cache, zone.
public struct SpinLock<P: Platform>: ~Copyable {
    /// 0 when free. Bit 0 is set while the lock is held; above it stands the holder's CPU number plus one, or 0 where it
    /// is held briefly.
    private let holder = Atomic<UInt>(0)

    /// A lock that is free.
    public init() {}

    @inline(__always)
    private static var heldByThisCPU: UInt { (UInt(bitPattern: P.currentCPU) &+ 1) &<< 1 | 1 }

    /// Takes the lock. - Returns: what `release(_:)` must be given.
    /// Callable from any context, but not by the CPU that holds the lock: that is reported and would never end.
    @inline(__always)
    public borrowing func acquire() -> InterruptState {
        let state = P.disableInterrupts()
        acquireWithInterruptsDisabled()
        return state
    }

    /// Takes the lock where the caller has disabled interrupts, and passes to `release(_:)` how they were.
    @inline(__always)
    public borrowing func acquireWithInterruptsDisabled() {
        let me = Self.heldByThisCPU
        if !holder.compareExchange(expected: 0, desired: me, successOrdering: .acquiring, failureOrdering: .relaxed)
            .exchanged
        {
            spin(me)
        }
        P.enterAtomicContext()
    }

    /// Takes the lock if it is free, for a few instructions that call nothing: the context does not count as atomic. The
    /// caller has disabled interrupts, and ends with `releaseBriefly()`. - Returns: false where the lock is held.
    @inline(__always)
    public borrowing func tryAcquireBriefly() -> Bool {
        // A single bit: one instruction tests and sets it.
        return holder.bitwiseOr(1, ordering: .acquiring).oldValue & 1 == 0
    }

    /// The opposite of `tryAcquireBriefly()`. Interrupts stay as they are.
    @inline(__always)
    public borrowing func releaseBriefly() { holder.store(0, ordering: .releasing) }

    /// Gives the lock back, then makes interrupts as they were before `acquire()`.
    ///
    /// - Parameter state: what `acquire()` returned.
    /// - Complexity: O(1). Only for the CPU that holds the lock.
    @inline(__always)
    public borrowing func release(_ state: InterruptState) {
        P.leaveAtomicContext()
        holder.store(0, ordering: .releasing)
        P.restoreInterrupts(state)
    }

    /// The opposite of `acquireWithInterruptsDisabled()`; interrupts stay disabled.
    @inline(__always)
    public borrowing func releaseWithInterruptsDisabled() {
        P.leaveAtomicContext()
        holder.store(0, ordering: .releasing)
    }

    /// Takes the lock where that is possible at once. For fatal reports, which must not wait.
    /// - Returns: what `release(_:)` must be given; nil, with interrupts as they were, where the lock is held.
    public borrowing func tryAcquire() -> InterruptState? {
        let state = P.disableInterrupts()
        let me = Self.heldByThisCPU
        if holder.compareExchange(expected: 0, desired: me, successOrdering: .acquiring, failureOrdering: .relaxed)
            .exchanged
        {
            P.enterAtomicContext()
            return state
        }
        P.restoreInterrupts(state)
        return nil
    }

    /// Runs `body` with the lock held.
    /// - Throws: what `body` throws, with the lock given back.
    /// - Returns: what `body` returns.
    @inline(__always)
    public borrowing func withLock<Result: ~Copyable, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let state = acquire()
        defer { release(state) }
        return try body()
    }

    /// True when some CPU holds the lock; a snapshot, for assertions and reports.
    public var isHeld: Bool { holder.load(ordering: .relaxed) != 0 }

    /// True when this CPU holds the lock; false where it does so briefly (`tryAcquireBriefly`), which notes no holder down.
    public var isHeldByThisCPU: Bool { holder.load(ordering: .relaxed) == Self.heldByThisCPU }

    @inline(never)
    private borrowing func spin(_ me: UInt) {
        while true {
            let found = holder.load(ordering: .relaxed)
            if found == me {
                P.report(
                    MemoryViolation(
                        .lockMisuse, in: "SpinLock.acquire", at: 0, "this CPU holds it already",
                        UInt(bitPattern: P.currentCPU)))
            }
            if found == 0,
                holder.weakCompareExchange(
                    expected: 0, desired: me, successOrdering: .acquiring, failureOrdering: .relaxed
                ).exchanged
            {
                return
            }
            P.relax()
        }
    }
}
