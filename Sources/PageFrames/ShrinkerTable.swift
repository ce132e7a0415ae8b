import MemoryPrimitives

/// The state of a `ShrinkerList`: entries that have forgotten the types of their shrinkers.
///
///     empty --register--> idle --begin--> running --end--> idle
///                          |                 | retire
///                          | retire       retiring --end--> retired --retire--> empty
///                          v
///                        empty
public struct ShrinkerTable {
    enum State: UInt8 { case empty, idle, running, retiring, retired }

    /// How a shrinker is called whose type is not known. The closures capture nothing: all that they need is `shrinker`.
    @safe
    struct Calls {
        var name: StaticString
        var shrinker: UnsafeRawPointer
        var count: (UnsafeRawPointer, AllocationFlags) -> UInt
        var scan: (UnsafeRawPointer, UInt, AllocationFlags) -> UInt
    }

    private struct Entry {
        var state = State.empty
        var generation: UInt32 = 0
        var calls: Calls?
    }

    private var entries = InlineArray<16, Entry>(repeating: Entry())

    /// No shrinker.
    public init() {}

    /// A table without shrinkers in `memory`: that many bytes, aligned to 8, never given back. It is too large to be made
    /// on a stack and moved; zero bytes are empty entries, which have no closures.
    @unsafe
    static func place(in memory: UnsafeMutableRawPointer) -> UnsafeMutablePointer<ShrinkerTable> {
        unsafe memory.initializeMemory(as: UInt64.self, repeating: 0, count: MemoryLayout<ShrinkerTable>.size / 8)
        return unsafe memory.bindMemory(to: ShrinkerTable.self, capacity: 1)
    }

    static var capacity: Int { 16 }

    /// - Returns: nil when all places are taken.
    mutating func register(_ calls: Calls) -> ShrinkerRegistration? {
        for index in 0..<Self.capacity where entries[index].state == .empty {
            entries[index].state = .idle
            entries[index].generation &+= 1
            entries[index].calls = calls
            return ShrinkerRegistration(index: UInt16(index), generation: entries[index].generation)
        }
        return nil
    }

    mutating func retire(_ registration: ShrinkerRegistration) -> ShrinkerRemoval {
        let index = Int(registration.index)
        guard index < Self.capacity, entries[index].generation == registration.generation else { return .unknown }
        switch entries[index].state {
        case .empty: return .unknown
        case .idle, .retired:
            entries[index].state = .empty
            entries[index].calls = nil
            return .removed
        case .running, .retiring:
            entries[index].state = .retiring
            return .busy
        }
    }

    /// Claims the shrinker at `index` for a call; nil where there is none, or a call is under way.
    mutating func begin(_ index: Int) -> Calls? {
        guard entries[index].state == .idle else { return nil }
        entries[index].state = .running
        return entries[index].calls
    }

    /// The call that `begin` allowed has ended.
    mutating func end(_ index: Int) {
        entries[index].state = entries[index].state == .retiring ? .retired : .idle
    }

    var registeredCount: Int {
        var count = 0
        for index in 0..<Self.capacity where entries[index].state != .empty { count += 1 }
        return count
    }
}
