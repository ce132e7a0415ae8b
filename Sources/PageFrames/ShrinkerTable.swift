import MemoryPrimitives

/// The entries of a `ShrinkerList`, which have forgotten the types of their shrinkers. The list's lock is held for every
/// call.
///
///     empty --register--> idle --begin--> running --end--> idle
///                          |                 | retire
///                          | retire       retiring --end--> retired --retire--> empty
///                          v
///                        empty
@safe
struct ShrinkerTable {
    enum State: UInt8 { case empty, idle, running, retiring, retired }

    /// How a shrinker is called whose type is not known. The closures capture nothing: all that they need is `shrinker`.
    @safe
    struct Calls {
        var shrinker: UnsafeRawPointer
        var count: (UnsafeRawPointer, AllocationFlags) -> UInt
        var scan: (UnsafeRawPointer, UInt, AllocationFlags) -> UInt
    }

    struct Entry {
        var state = State.empty
        var generation: UInt32 = 0
        var calls: Calls?
    }

    static var capacity: Int { 16 }

    private let entries: UnsafeMutablePointer<Entry>

    /// An empty table in `memory`: room for `capacity` entries, aligned for them, never given back.
    @unsafe
    init(in memory: UnsafeMutableRawPointer) {
        unsafe entries = memory.bindMemory(to: Entry.self, capacity: Self.capacity)
        // One after the other: all of them at once would be a large value on the stack.
        for index in 0..<Self.capacity { unsafe (entries + index).initialize(to: Entry()) }
    }

    /// The entry at `index`, which is `0 ..< capacity`.
    private subscript(index: Int) -> Entry {
        // Initialised by init, and the lock makes this the only access.
        unsafeAddress { unsafe UnsafePointer(entries + index) }
        nonmutating unsafeMutableAddress { unsafe entries + index }
    }

    /// - Returns: nil when all places are taken.
    func register(_ calls: Calls) -> ShrinkerRegistration? {
        for index in 0..<Self.capacity where self[index].state == .empty {
            self[index].state = .idle
            self[index].generation &+= 1
            self[index].calls = calls
            return ShrinkerRegistration(index: UInt16(truncatingIfNeeded: index), generation: self[index].generation)
        }
        return nil
    }

    func retire(_ registration: ShrinkerRegistration) -> ShrinkerRemoval {
        let index = Int(registration.index)
        guard index < Self.capacity, self[index].generation == registration.generation else { return .unknown }
        switch self[index].state {
        case .empty: return .unknown
        case .idle, .retired:
            self[index].state = .empty
            self[index].calls = nil
            return .removed
        case .running, .retiring:
            self[index].state = .retiring
            return .busy
        }
    }

    /// Claims the shrinker at `index` for a call; nil where there is none, or a call is under way.
    func begin(_ index: Int) -> Calls? {
        guard self[index].state == .idle else { return nil }
        self[index].state = .running
        return self[index].calls
    }

    /// The call that `begin` allowed has ended.
    func end(_ index: Int) {
        self[index].state = self[index].state == .retiring ? .retired : .idle
    }

    var registeredCount: Int {
        var count = 0
        for index in 0..<Self.capacity where self[index].state != .empty { count += 1 }
        return count
    }
}
