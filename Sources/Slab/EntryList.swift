import MemoryPrimitives

/// Free objects in a row, each with the address of its state byte: what magazines and buckets hold.
///
///     | objects | addresses of their state bytes |
///
/// A view of memory of theirs, for who holds them.
@safe
struct EntryList<P: Platform> {
    typealias Entry = Magazine<P>.Entry

    private let objects: UnsafeMutablePointer<UInt>
    /// As numbers, so that copying them is one move of memory.
    private let states: UnsafeMutablePointer<UInt>

    /// Bytes of memory for `capacity` entries.
    @inline(__always)
    static func byteCount(capacity: Int) -> Int { 16 &* capacity }

    /// - Parameter memory: `byteCount(capacity:)` bytes, aligned to 8, that nothing else uses as long as this is used.
    @unsafe
    @inline(__always)
    init(in memory: UnsafeMutableRawPointer, capacity: Int) {
        // By the contract.
        unsafe objects = memory.assumingMemoryBound(to: UInt.self)
        unsafe states = (memory + 8 &* capacity).assumingMemoryBound(to: UInt.self)
    }

    /// The entry at a position below the capacity.
    @inline(__always)
    subscript(position: Int) -> Entry {
        // There is room for so many of each. The addresses of state bytes are not 0: see `set`.
        get {
            unsafe Entry(
                object: objects[position],
                state: UnsafeMutablePointer(bitPattern: states[position]).unsafelyUnwrapped)
        }
        nonmutating set {
            unsafe objects[position] = newValue.object
            unsafe states[position] = UInt(bitPattern: newValue.state)
        }
    }

    /// Copies `count` entries of another list, from position `start` on, to this one's front. - Complexity: O(count).
    @inline(__always)
    func fill(from other: EntryList, at start: Int, count: Int) {
        // Both have so many. `update(from:count:)` would be a call for each where nothing is specialised, as in Embedded
        // Swift.
        unsafe UnsafeMutableRawPointer(objects).copyMemory(from: other.objects + start, byteCount: 8 &* count)
        unsafe UnsafeMutableRawPointer(states).copyMemory(from: other.states + start, byteCount: 8 &* count)
    }
}
