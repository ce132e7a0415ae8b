import MemoryPrimitives

/// The state of a `FrameMoverList`: entries that have forgotten the types of their movers. Zero bytes are a table
/// without movers.
struct FrameMoverTable {
    /// How a mover is called whose type is not known. The closure captures nothing: all that it needs is `mover`.
    @safe
    struct Calls {
        var name: StaticString
        var mover: UnsafeRawPointer
        var move: (UnsafeRawPointer, PageFrameNumber, PageFrameNumber, Int) -> Bool
    }

    private struct Entry {
        var calls: Calls?
        var generation: UInt32 = 0
        /// Calls under way.
        var running: UInt32 = 0
        var isRetiring = false
    }

    private var entries = InlineArray<8, Entry>(repeating: Entry())

    static var capacity: Int { 8 }

    /// A table without movers in `memory`: that many bytes, aligned to 8, never given back.
    @unsafe
    static func place(in memory: UnsafeMutableRawPointer) -> UnsafeMutablePointer<FrameMoverTable> {
        unsafe memory.initializeMemory(as: UInt64.self, repeating: 0, count: MemoryLayout<FrameMoverTable>.size / 8)
        return unsafe memory.bindMemory(to: FrameMoverTable.self, capacity: 1)
    }

    /// - Returns: nil when all places are taken.
    mutating func register(_ calls: Calls) -> FrameMoverRegistration? {
        for index in 0..<Self.capacity where entries[index].calls == nil {
            entries[index].calls = calls
            entries[index].generation &+= 1
            entries[index].isRetiring = false
            return FrameMoverRegistration(index: UInt16(index), generation: entries[index].generation)
        }
        return nil
    }

    mutating func retire(_ registration: FrameMoverRegistration) -> FrameMoverRemoval {
        let index = Int(registration.index)
        guard index < Self.capacity, entries[index].calls != nil,
            entries[index].generation == registration.generation
        else { return .unknown }
        entries[index].isRetiring = true
        if entries[index].running > 0 { return .busy }
        entries[index].calls = nil
        return .removed
    }

    /// Claims the mover at `index` for a call; nil where there is none that may be called.
    mutating func begin(_ index: Int) -> Calls? {
        guard !entries[index].isRetiring, let calls = entries[index].calls else { return nil }
        entries[index].running += 1
        return calls
    }

    /// A call that `begin` allowed has ended.
    mutating func end(_ index: Int) { entries[index].running -= 1 }
}
