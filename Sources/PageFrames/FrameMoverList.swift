import MemoryPrimitives

/// How a mover is called whose type is not known. The closure captures nothing: all that it needs is `mover`.
@safe
public struct FrameMoverCalls {
    var name: StaticString
    var mover: UnsafeRawPointer
    var move: (UnsafeRawPointer, PageFrameNumber, PageFrameNumber, Int) -> Bool
}

/// The place of a mover in a `FrameMoverList`.
public typealias FrameMoverRegistration = CallbackRegistration<FrameMoverCalls>

/// The movers that are asked when a contiguous range is put together: at most 8. It allocates nothing.
///
/// All calls may come from any context and from several CPUs at once. The list's lock is never held while a mover runs.
@safe
public struct FrameMoverList<P: Platform>: ~Copyable, @unchecked Sendable {
    private let list: CallbackList<FrameMoverCalls, P>

    /// Bytes of memory that `init` needs, aligned to 16.
    static var byteCount: Int { CallbackList<FrameMoverCalls, P>.byteCount(capacity: capacity) }

    /// An empty list.
    ///
    /// - Parameter memory: `byteCount` bytes, aligned to 16, used for nothing else and never given back.
    @unsafe
    init(in memory: UnsafeMutableRawPointer) { unsafe list = CallbackList(in: memory, capacity: Self.capacity) }

    /// The number of movers that can be registered at a time.
    public static var capacity: Int { 8 }

    /// Has `mover` asked from now on.
    ///
    /// - Parameters:
    ///   - mover: who can move the contents of frames.
    ///   - name: what reports call it.
    /// - Returns: what `unregister(_:)` needs; nil when all places are taken.
    /// - Complexity: O(capacity).
    public func register<M: FrameMover & ~Copyable>(
        _ mover: Permanent<M>, name: StaticString
    ) -> FrameMoverRegistration? {
        // The closure gets the pointer that stands beside it, which is to a permanent M.
        let calls = unsafe FrameMoverCalls(
            name: name, mover: UnsafeRawPointer(mover.address),
            move: { mover, old, new, order in
                unsafe mover.assumingMemoryBound(to: M.self).pointee.move(from: old, to: new, order: order)
            })
        return list.register(calls)
    }

    /// Has a mover asked no more. Where that is not `busy`, no call of it is under way, on any CPU.
    ///
    /// - Complexity: O(1); does not wait.
    public func unregister(_ registration: FrameMoverRegistration) -> CallbackRemoval { list.unregister(registration) }

    /// Asks one mover after the other until one has moved the block. - Returns: whether one has.
    func move(from old: PageFrameNumber, to new: PageFrameNumber, order: Int) -> Bool {
        for index in 0..<Self.capacity {
            guard let calls = list.begin(index, alone: false) else { continue }
            let isMoved = unsafe calls.move(calls.mover, old, new, order)
            list.end(index)
            if isMoved { return true }
        }
        return false
    }
}
