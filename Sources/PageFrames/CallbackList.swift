import MemoryPrimitives

/// The place of a callback in its list. It becomes invalid when the callback is unregistered.
public struct CallbackRegistration<Calls>: Sendable {
    var index: UInt16
    /// Tells registrations apart that had the same place.
    var generation: UInt32
}

/// What came of unregistering a callback.
public enum CallbackRemoval: Sendable {
    /// It is not called now, nor will it be again: what it stands on may go.
    case removed
    /// A call is under way. No further call begins; ask again when it may have ended.
    case busy
    /// The registration is not, or no longer, valid. Nothing was done.
    case unknown
}

/// Callbacks of one kind, whose owners come and go while they are called. It allocates nothing.
///
/// All calls may come from any context and from several CPUs at once. The lock is held for the list's own bookkeeping
/// only, never while a callback runs; nothing else is taken while it is held.
///
/// - `Calls`: how a callback is called whose owner's type is not known: the owner's address, and closures that capture
///   nothing and are given it.
@safe
struct CallbackList<Calls, P: Platform>: ~Copyable, @unchecked Sendable {
    private let lock = SpinLock<P>()
    private let table: CallbackTable<Calls>

    /// Bytes of memory that a list of `capacity` needs, a multiple of 16.
    static func byteCount(capacity: Int) -> Int {
        (MemoryLayout<CallbackTable<Calls>.Entry>.stride * capacity + 15) & ~15
    }

    /// An empty list.
    ///
    /// - Parameter memory: as many bytes as `byteCount` says, aligned to 16, used for nothing else and never given back.
    @unsafe
    init(in memory: UnsafeMutableRawPointer, capacity: Int) {
        unsafe table = CallbackTable(in: memory, capacity: capacity)
    }

    /// The number of callbacks that are registered.
    var count: Int { lock.withLock { table.registeredCount } }

    /// Has a callback called from now on. - Returns: nil when all places are taken. - Complexity: O(capacity).
    func register(_ calls: Calls) -> CallbackRegistration<Calls>? { lock.withLock { table.register(calls) } }

    /// Has a callback called no more. - Complexity: O(1); does not wait.
    func unregister(_ registration: CallbackRegistration<Calls>) -> CallbackRemoval {
        lock.withLock { table.retire(registration) }
    }

    /// Claims the callback at `index` for a call, which must be followed by `end(_:)`.
    ///
    /// - Parameters:
    ///   - index: within the list's capacity.
    ///   - isAlone: a callback that is being called already, by another CPU or by this one further up its stack, is
    ///     passed over.
    /// - Returns: nil where there is none, or it may not be called now.
    func begin(_ index: Int, alone isAlone: Bool) -> Calls? { lock.withLock { table.begin(index, alone: isAlone) } }

    /// A call that `begin` allowed has ended.
    func end(_ index: Int) { lock.withLock { table.end(index) } }
}
