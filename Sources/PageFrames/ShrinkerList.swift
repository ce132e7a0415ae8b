import MemoryPrimitives

/// How a shrinker is called whose type is not known. The closures capture nothing: all that they need is `shrinker`.
@safe
public struct ShrinkerCalls {
    var shrinker: UnsafeRawPointer
    var count: (UnsafeRawPointer, AllocationFlags) -> UInt
    var scan: (UnsafeRawPointer, UInt, AllocationFlags) -> UInt
}

/// The place of a shrinker in a `ShrinkerList`.
public typealias ShrinkerRegistration = CallbackRegistration<ShrinkerCalls>

/// The shrinkers that the page frame allocator asks for memory: at most 16. It allocates nothing.
///
/// All calls may come from any context and from several CPUs at once. The list's lock is never held while a shrinker
/// runs. `shrink` runs shrinkers and so lasts as long as they do.
@safe
public struct ShrinkerList<P: Platform>: ~Copyable, @unchecked Sendable {
    private let list: CallbackList<ShrinkerCalls, P>

    /// Bytes of memory that `init` needs, aligned to 16.
    public static var byteCount: Int { CallbackList<ShrinkerCalls, P>.byteCount(capacity: capacity) }

    /// An empty list.
    ///
    /// - Parameter memory: `byteCount` bytes, aligned to 16, used for nothing else and never given back.
    @unsafe
    public init(in memory: UnsafeMutableRawPointer) { unsafe list = CallbackList(in: memory, capacity: Self.capacity) }

    /// The number of shrinkers that can be registered at a time.
    public static var capacity: Int { 16 }

    /// The number of shrinkers that are registered.
    public var count: Int { list.count }

    /// Has `shrinker` asked for memory from now on.
    ///
    /// - Returns: what `unregister(_:)` needs; nil when all places are taken.
    /// - Complexity: O(capacity).
    public func register<S: Shrinker & ~Copyable>(_ shrinker: Permanent<S>) -> ShrinkerRegistration? {
        // Each closure gets the pointer that stands beside it, which is to a permanent S.
        let calls = unsafe ShrinkerCalls(
            shrinker: UnsafeRawPointer(shrinker.address),
            count: { shrinker, flags in unsafe shrinker.assumingMemoryBound(to: S.self).pointee.count(for: flags) },
            scan: { shrinker, target, flags in
                unsafe shrinker.assumingMemoryBound(to: S.self).pointee.scan(target, for: flags)
            })
        return list.register(calls)
    }

    /// Has a shrinker asked no more. Where that is not `busy`, no call of it is under way, on any CPU.
    ///
    /// - Complexity: O(1); does not wait, so that a shrinker may call it on itself (and is told `busy`).
    public func unregister(_ registration: ShrinkerRegistration) -> CallbackRemoval { list.unregister(registration) }

    /// Asks the shrinkers for `target` frames.
    ///
    /// As in Linux, each is asked for a part in proportion to what it could give, so that a large cache gives more than a
    /// small one and none is emptied while others stay full. Linux derives the part from a priority that grows with need;
    /// here the need is known: shrinker i gives target * count(i) / sum of counts, rounded up, in steps of 128 frames. What
    /// is then missing, because a shrinker gave less than it promised, is sought in a second round from one after the
    /// other. A shrinker that is being called already, by another CPU or by this one further up its stack, is passed over.
    ///
    /// - Returns: the frames given back, which may be more or fewer than `target`. Frames that other CPUs gave back at
    ///   the same time are not among them: look at the free frames before giving up.
    /// - Complexity: O(capacity), and what the shrinkers do.
    public func shrink(target: UInt, flags: AllocationFlags) -> UInt {
        guard target != 0 else { return 0 }
        var round = ShrinkRound(target: target, flags: flags)
        for index in 0..<Self.capacity { visit(index, .count, &round) }
        for index in 0..<Self.capacity where !round.isDone { visit(index, .takeShare, &round) }
        for index in 0..<Self.capacity where !round.isDone { visit(index, .takeRest, &round) }
        return round.returned
    }

    /// Does one step of a round with the shrinker at `index`, where there is one that is not running. (A closure that
    /// captures the round would be boxed at `-Onone`.)
    @inline(never)
    private func visit(_ index: Int, _ step: ShrinkRound.Step, _ round: inout ShrinkRound) {
        guard let calls = list.begin(index, alone: true) else { return }
        switch step {
        case .count: round.count(calls)
        case .takeShare: round.takeShare(of: calls)
        case .takeRest: round.takeRest(from: calls)
        }
        list.end(index)
    }
}
