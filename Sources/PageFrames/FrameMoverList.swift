import MemoryPrimitives

/// The movers that are asked when a contiguous range is put together: at most 8. It allocates nothing.
///
/// All calls may come from any context and from several CPUs at once. The lock is held for the list's own bookkeeping
/// only, never while a mover runs; nothing else is taken while it is held.
@safe
public struct FrameMoverList<P: Platform>: ~Copyable, @unchecked Sendable {
    private let lock = SpinLock<P>()
    private let table: UnsafeMutablePointer<FrameMoverTable>

    /// - Parameter table: initialised, used by no other list, and never given back.
    @unsafe
    init(table: UnsafeMutablePointer<FrameMoverTable>) { unsafe self.table = table }

    /// The number of movers that can be registered at a time.
    public static var capacity: Int { FrameMoverTable.capacity }

    /// Has `mover` asked from now on.
    ///
    /// - Parameter name: what reports call it.
    /// - Returns: what `unregister(_:)` needs; nil when all places are taken.
    /// - Complexity: O(capacity).
    public func register<M: FrameMover & ~Copyable>(
        _ mover: Permanent<M>, name: StaticString
    ) -> FrameMoverRegistration? {
        // The closure gets the pointer that stands beside it, which is to a permanent M.
        let calls = unsafe FrameMoverTable.Calls(
            name: name, mover: UnsafeRawPointer(mover.address),
            move: { mover, old, new, order in
                unsafe mover.assumingMemoryBound(to: M.self).pointee.move(from: old, to: new, order: order)
            })
        return withTable { table in table.register(calls) }
    }

    /// Has a mover asked no more. Where that is not `busy`, no call of it is under way, on any CPU.
    ///
    /// - Complexity: O(1); does not wait.
    public func unregister(_ registration: FrameMoverRegistration) -> FrameMoverRemoval {
        withTable { table in table.retire(registration) }
    }

    /// Asks one mover after the other until one has moved the block. - Returns: whether one has.
    func move(from old: PageFrameNumber, to new: PageFrameNumber, order: Int) -> Bool {
        for index in 0..<Self.capacity {
            guard let calls = withTable({ table in table.begin(index) }) else { continue }
            let isMoved = unsafe calls.move(calls.mover, old, new, order)
            withTable { table in table.end(index) }
            if isMoved { return true }
        }
        return false
    }

    @inline(__always)
    private func withTable<Result>(_ body: (inout FrameMoverTable) -> Result) -> Result {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        // The lock makes this the only access.
        return unsafe body(&table.pointee)
    }
}
