import MemoryPrimitives
import Synchronization

/// A CPU's stack of free objects of one cache: what it allocates from and frees to without a lock.
///
/// Only its own CPU touches it, with interrupts disabled; a snapshot of `count` may be taken from anywhere.
@safe
struct Magazine {
    /// An object together with its state byte, so that allocating need not look for the slab.
    @safe
    struct Entry {
        let object: UInt
        let state: UnsafeMutablePointer<SlabPage.State>

        @inline(__always)
        init(object: UInt, state: UnsafeMutablePointer<SlabPage.State>) {
            self.object = object
            // Kept, not followed.
            unsafe self.state = state
        }

        /// Notes down that the object is now its user's, or in a magazine.
        @inline(__always)
        func setState(_ newState: ObjectState) {
            // State bytes outlive the objects, and who has the entry has the object.
            unsafe state.pointee.store(newState.rawValue, ordering: .relaxed)
        }

        func loadState() -> ObjectState {
            // As above.
            ObjectState(rawValue: unsafe state.pointee.load(ordering: .relaxed))
        }
    }

    struct Header: ~Copyable {
        let count = Atomic<Int>(0)
        let depth: Int
    }

    private let header: UnsafeMutablePointer<Header>

    /// Bytes of a magazine for `depth` objects: a multiple of 16.
    static func byteCount(depth: Int) -> Int { MemoryLayout<Header>.stride + depth * MemoryLayout<Entry>.stride }

    /// The magazine in `memory`, which `initialize(depth:)` has set up or will.
    @unsafe
    @inline(__always)
    init(in memory: UnsafeMutableRawPointer) {
        unsafe header = memory.assumingMemoryBound(to: Header.self)
    }

    /// Makes the memory, `byteCount(depth:)` bytes, an empty magazine.
    func initialize(depth: Int) { unsafe header.initialize(to: Header(depth: depth)) }

    /// The number of objects in it.
    @inline(__always)
    var count: Int { unsafe header.pointee.count.load(ordering: .relaxed) }

    /// The number of objects that it can hold.
    var depth: Int { unsafe header.pointee.depth }

    @inline(__always)
    func pop() -> Entry? {
        let last = count &- 1
        if last < 0 { return nil }
        // This CPU's own, and `last` is below the count.
        unsafe header.pointee.count.store(last, ordering: .relaxed)
        return unsafe entries[last]
    }

    /// - Returns: false when there is no room.
    @inline(__always)
    func push(_ entry: Entry) -> Bool {
        let count = count
        if count == depth { return false }
        // This CPU's own, and `count` is below the depth that its memory was sized for.
        unsafe entries[count] = entry
        unsafe header.pointee.count.store(count &+ 1, ordering: .relaxed)
        return true
    }

    /// The entry at a position below `count`, for checks.
    func entry(_ position: Int) -> Entry { unsafe entries[position] }

    @inline(__always)
    private var entries: UnsafeMutablePointer<Entry> {
        // The entries follow the header.
        unsafe UnsafeMutableRawPointer(header + 1).assumingMemoryBound(to: Entry.self)
    }
}
