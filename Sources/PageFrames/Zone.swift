import MemoryPrimitives

/// A range of physical memory with its own lock and its own free lists.
///
/// The lock is the innermost one: nothing else is taken while it is held.
@safe
struct Zone<P: Platform>: ~Copyable, @unchecked Sendable {
    let kind: ZoneKind
    private let lock = SpinLock<P>()
    private let state: UnsafeMutablePointer<ZoneState>

    /// - Parameter state: initialised, and never given back.
    @unsafe
    init(_ kind: ZoneKind, state: UnsafeMutablePointer<ZoneState>) {
        self.kind = kind
        unsafe self.state = state
    }

    /// Where the zone's state and its counts of free blocks are, for a debugger.
    var debuggerPlaces: (state: UInt, counts: UInt) {
        // Initialised by the contract of `init`; the counts' place never changes.
        unsafe (UInt(bitPattern: state), state.pointee.buddy.counts.address)
    }

    /// Runs `body` on the zone's state with the lock held. All that is free is merged (see ZoneState+HeldBlock.swift).
    @inline(__always)
    func withState<Result, Failure: Error>(
        _ body: (inout ZoneState) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsettledState { (state) throws(Failure) in
            state.settle()
            return try body(&state)
        }
    }

    /// The same, with a block perhaps still held: for `freeLazily` and `allocateReadily`.
    @inline(__always)
    func withUnsettledState<Result, Failure: Error>(
        _ body: (inout ZoneState) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        // The lock makes this the only access.
        return try unsafe body(&state.pointee)
    }

    /// As `withState`, where the caller holds a lock already, and so has interrupts disabled. `body` must not wait for
    /// anything.
    @unsafe
    @inline(__always)
    func withStateInterruptsDisabled<Result>(_ body: (inout ZoneState) -> Result) -> Result {
        lock.acquireWithInterruptsDisabled()
        defer { lock.releaseWithInterruptsDisabled() }
        // As above.
        unsafe state.pointee.settle()
        return unsafe body(&state.pointee)
    }
}
