import MemoryPrimitives

/// The shrinkers that the page frame allocator asks for memory: at most 16. It allocates nothing.
///
/// All calls may come from any context and from several CPUs at once. The lock is held for the list's own bookkeeping
/// only, never while a shrinker runs; nothing else is taken while it is held. `shrink` runs shrinkers and so lasts as
/// long as they do.
@safe
public struct ShrinkerList<P: Platform>: ~Copyable, @unchecked Sendable {
    private let lock = SpinLock<P>()
    private let table: UnsafeMutablePointer<ShrinkerTable>

    /// - Parameter table: initialised, used by no other list, and never given back.
    @unsafe
    public init(table: UnsafeMutablePointer<ShrinkerTable>) { unsafe self.table = table }

    /// The number of shrinkers that can be registered at a time.
    public static var capacity: Int { ShrinkerTable.capacity }

    /// The number of shrinkers that are registered.
    public var count: Int { withTable { table in table.registeredCount } }

    /// Has `shrinker` asked for memory from now on.
    ///
    /// - Parameter name: what reports call it.
    /// - Returns: what `unregister(_:)` needs; nil when all places are taken.
    /// - Complexity: O(capacity).
    public func register<S: Shrinker & ~Copyable>(
        _ shrinker: Permanent<S>, name: StaticString
    ) -> ShrinkerRegistration? {
        // Each closure gets the pointer that stands beside it, which is to a permanent S.
        let calls = unsafe ShrinkerTable.Calls(
            name: name, shrinker: UnsafeRawPointer(shrinker.address),
            count: { shrinker, flags in unsafe shrinker.assumingMemoryBound(to: S.self).pointee.count(for: flags) },
            scan: { shrinker, target, flags in
                unsafe shrinker.assumingMemoryBound(to: S.self).pointee.scan(target, for: flags)
            })
        return withTable { table in table.register(calls) }
    }

    /// Has a shrinker asked no more. Where that is not `busy`, no call of it is under way, on any CPU.
    ///
    /// - Complexity: O(1); does not wait, so that a shrinker may call it on itself (and is told `busy`).
    public func unregister(_ registration: ShrinkerRegistration) -> ShrinkerRemoval {
        withTable { table in table.retire(registration) }
    }

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
        for index in 0..<Self.capacity { call(index) { calls in round.count(calls) } }
        for index in 0..<Self.capacity where !round.isDone { call(index) { calls in round.takeShare(of: calls) } }
        for index in 0..<Self.capacity where !round.isDone { call(index) { calls in round.takeRest(from: calls) } }
        return round.returned
    }

    /// Runs `body` on the shrinker at `index`, where there is one that is not running.
    @inline(__always)
    private func call(_ index: Int, _ body: (ShrinkerTable.Calls) -> Void) {
        guard let calls = withTable({ table in table.begin(index) }) else { return }
        body(calls)
        withTable { table in table.end(index) }
    }

    @inline(__always)
    private func withTable<Result>(_ body: (inout ShrinkerTable) -> Result) -> Result {
        let interrupts = lock.acquire()
        defer { lock.release(interrupts) }
        // The lock makes this the only access.
        return unsafe body(&table.pointee)
    }
}

/// One request for memory, and how far it has come. All counts are in frames.
struct ShrinkRound {
    private let target: UInt
    private let flags: AllocationFlags
    /// What all shrinkers together could give.
    private var available: UInt = 0
    private(set) var returned: UInt = 0

    init(target: UInt, flags: AllocationFlags) {
        self.target = min(target, Self.most)
        self.flags = flags
    }

    var isDone: Bool { returned >= target }

    /// A shrinker gives this much at a time, as in Linux, so that it does not keep its locks for long.
    private static var step: UInt { 128 }

    /// More frames (8 TiB) than are sought at a time: keeps the products below 2^64, whatever shrinkers say.
    private static var most: UInt { 1 << 31 }

    mutating func count(_ shrinker: ShrinkerTable.Calls) { available += promise(of: shrinker) }

    @inline(never)
    mutating func takeShare(of shrinker: ShrinkerTable.Calls) {
        // What it could give is asked again, so that nothing need be remembered of each; it may have changed since.
        let promised = promise(of: shrinker)
        guard promised != 0, available != 0 else { return }
        let share = (target * min(promised, available) + available - 1) / available
        take(min(share, promised), from: shrinker)
    }

    @inline(never)
    mutating func takeRest(from shrinker: ShrinkerTable.Calls) {
        guard promise(of: shrinker) != 0 else { return }
        take(target - returned, from: shrinker)
    }

    private func promise(of shrinker: ShrinkerTable.Calls) -> UInt {
        min(unsafe shrinker.count(shrinker.shrinker, flags), Self.most)
    }

    private mutating func take(_ wanted: UInt, from shrinker: ShrinkerTable.Calls) {
        var rest = wanted
        while rest != 0 {
            let given = unsafe shrinker.scan(shrinker.shrinker, min(rest, Self.step), flags)
            guard given != 0 else { return }
            returned += min(given, Self.most)
            rest -= min(given, rest)
        }
    }
}
