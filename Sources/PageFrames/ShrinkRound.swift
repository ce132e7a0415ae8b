/// One request for memory, and how far it has come. All counts are in frames.
struct ShrinkRound {
    enum Step { case count, takeShare, takeRest }

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

    mutating func count(_ shrinker: ShrinkerCalls) { available += promise(of: shrinker) }

    @inline(never)
    mutating func takeShare(of shrinker: ShrinkerCalls) {
        // What it could give is asked again, so that nothing need be remembered of each; it may have changed since.
        let promised = promise(of: shrinker)
        guard promised != 0, available != 0 else { return }
        let share = (target * min(promised, available) + available - 1) / available
        take(min(share, promised), from: shrinker)
    }

    @inline(never)
    mutating func takeRest(from shrinker: ShrinkerCalls) {
        guard promise(of: shrinker) != 0 else { return }
        take(target - returned, from: shrinker)
    }

    private func promise(of shrinker: ShrinkerCalls) -> UInt {
        min(unsafe shrinker.count(shrinker.shrinker, flags), Self.most)
    }

    private mutating func take(_ wanted: UInt, from shrinker: ShrinkerCalls) {
        var rest = wanted
        while rest != 0 {
            let given = unsafe shrinker.scan(shrinker.shrinker, min(rest, Self.step), flags)
            guard given != 0 else { return }
            returned += min(given, Self.most)
            rest -= min(given, rest)
        }
    }
}
