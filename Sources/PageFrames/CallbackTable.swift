import MemoryPrimitives

/// The entries of a `CallbackList`: callbacks that have forgotten whose they are. The list's lock is held for every call.
///
///     empty --register--> idle --begin--> running --end--> idle
///                          |                 | retire
///                          | retire       retiring --end--> retired --retire--> empty
///                          v
///                        empty
///
/// Several calls of one callback may be under way; it is retired when the last has ended.
@safe
struct CallbackTable<Calls> {
    struct Entry {
        /// nil where the place is free.
        var calls: Calls?
        /// How often the place has been taken.
        var generation: UInt32 = 0
        /// Calls under way.
        var running: UInt16 = 0
        /// Set when its owner has asked for it to be called no more.
        var isRetiring = false
    }

    let capacity: Int
    private let entries: UnsafeMutablePointer<Entry>

    /// An empty table in `memory`: room for `capacity` entries, aligned for them, never given back.
    @unsafe
    init(in memory: UnsafeMutableRawPointer, capacity: Int) {
        self.capacity = capacity
        unsafe entries = memory.bindMemory(to: Entry.self, capacity: capacity)
        // One after the other: all of them at once would be a large value on the stack.
        for index in 0..<capacity { unsafe (entries + index).initialize(to: Entry()) }
    }

    /// The entry at `index`, which is `0 ..< capacity`.
    private subscript(index: Int) -> Entry {
        // Initialised by init, and the lock makes this the only access.
        unsafeAddress { unsafe UnsafePointer(entries + index) }
        nonmutating unsafeMutableAddress { unsafe entries + index }
    }

    /// - Returns: nil when all places are taken.
    func register(_ calls: Calls) -> CallbackRegistration<Calls>? {
        for index in 0..<capacity where self[index].calls == nil {
            self[index].calls = calls
            self[index].generation &+= 1
            self[index].isRetiring = false
            return CallbackRegistration(index: UInt16(truncatingIfNeeded: index), generation: self[index].generation)
        }
        return nil
    }

    func retire(_ registration: CallbackRegistration<Calls>) -> CallbackRemoval {
        let index = Int(registration.index)
        guard index < capacity, self[index].calls != nil, self[index].generation == registration.generation
        else { return .unknown }
        self[index].isRetiring = true
        if self[index].running > 0 { return .busy }
        self[index].calls = nil
        return .removed
    }

    /// Claims the callback at `index` for a call; nil where there is none, or it may not be called now.
    /// - Parameter isAlone: a callback that a call is under way of is not called.
    func begin(_ index: Int, alone isAlone: Bool) -> Calls? {
        if self[index].isRetiring || isAlone && self[index].running > 0 { return nil }
        guard let calls = self[index].calls else { return nil }
        self[index].running += 1
        return calls
    }

    /// A call that `begin` allowed has ended.
    func end(_ index: Int) { self[index].running -= 1 }

    var registeredCount: Int {
        var count = 0
        for index in 0..<capacity where self[index].calls != nil { count += 1 }
        return count
    }
}
