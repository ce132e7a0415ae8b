import MemoryPrimitives
import PageFrames

/// Freed objects that wait, the first freed the first to leave, so that a write to one is seen before the memory is
/// somebody else's: a ring of their addresses, outside of all slabs.
///
/// It holds slots of so many bytes together, and one object for each 128 bytes of that.
@safe
struct Quarantine<P: Platform>: ~Copyable {
    private struct Entry {
        var object: UInt
        var byteCount: UInt
    }

    /// In front of the entries, under the lock.
    private struct State {
        var first = 0
        var count = 0
        var byteCount: UInt = 0
    }

    private let byteLimit: UInt
    private let capacity: Int
    private let lock = SpinLock<P>()
    private let state: UnsafeMutablePointer<State>?

    private static var headByteCount: Int { 64 }

    /// The order of the block that `init` needs.
    static func order(byteLimit: UInt) -> Int {
        let entries = UInt(MemoryLayout<Entry>.stride) * (byteLimit / 128)
        return min(10, LargeBlocks<P>.order(forByteCount: UInt(headByteCount) + max(1024, entries)))
    }

    /// - Parameters:
    ///   - memory: a block of `order(byteLimit:)`; nil for no quarantine.
    ///   - byteLimit: bytes of slots.
    @unsafe
    init(in memory: UnsafeMutableRawPointer?, byteLimit: UInt) {
        self.byteLimit = byteLimit
        let byteCount = Int(PageSize.byteCount) << Self.order(byteLimit: byteLimit)
        capacity = (byteCount - Self.headByteCount) / MemoryLayout<Entry>.stride
        // The block has room for the head and the entries.
        unsafe state = memory?.bindMemory(to: State.self, capacity: 1)
        unsafe state?.initialize(to: State())
    }

    var isActive: Bool { unsafe state != nil }

    /// The address of the block; nil where there is none.
    var memory: UInt? { unsafe state.map { UInt(bitPattern: $0) } }

    /// The objects that wait, and the bytes of their slots. A snapshot.
    var figures: (objects: Int, bytes: UInt) {
        guard let state = unsafe state else { return (0, 0) }
        return lock.withLock { unsafe (state.pointee.count, state.pointee.byteCount) }
    }

    /// Puts an object with a slot of so many bytes at the end.
    /// - Returns: false, with nothing changed, where there is no room: `takeFirst` makes some. - Complexity: O(1).
    func put(_ object: UInt, _ byteCount: UInt) -> Bool {
        guard let state = unsafe state else { return false }
        return lock.withLock {
            // The state and the entries are under the lock.
            if unsafe state.pointee.count == capacity { return false }
            let place = unsafe (state.pointee.first + state.pointee.count) % capacity
            unsafe entry(state, place).pointee = Entry(object: object, byteCount: byteCount)
            unsafe state.pointee.count += 1
            unsafe state.pointee.byteCount += byteCount
            return true
        }
    }

    /// Takes out the object that has waited longest, where there are more bytes than `kept`, or no room is left; nil
    /// where it may stay. - Complexity: O(1).
    func takeFirst(keeping kept: UInt) -> UInt? {
        guard let state = unsafe state else { return nil }
        return lock.withLock {
            // As above.
            guard unsafe state.pointee.count > 0,
                unsafe state.pointee.byteCount > kept || state.pointee.count == capacity
            else { return nil }
            let entry = unsafe entry(state, state.pointee.first).pointee
            unsafe state.pointee.first = (state.pointee.first + 1) % capacity
            unsafe state.pointee.count -= 1
            unsafe state.pointee.byteCount -= entry.byteCount
            return entry.object
        }
    }

    /// As `takeFirst(keeping:)`, with what the quarantine is to hold.
    func takeExcess() -> UInt? { takeFirst(keeping: byteLimit) }

    @unsafe
    private func entry(_ state: UnsafeMutablePointer<State>, _ place: Int) -> UnsafeMutablePointer<Entry> {
        // place < capacity.
        unsafe (UnsafeMutableRawPointer(state) + Self.headByteCount).assumingMemoryBound(to: Entry.self) + place
    }
}
