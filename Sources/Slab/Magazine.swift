import MemoryPrimitives
import Synchronization

/// A CPU's stack of free objects of one cache: what is allocated from and freed to without the cache's lock.
///
///     | count, limit, lock, object size, cache | 61 objects | the addresses of their 61 state bytes |
///
/// A magazine is held while it is used, by one atomic instruction that never waits: who finds it held (an interrupt
/// handler that came in between, another CPU that drains it) goes to the cache itself. So interrupts stay as they are,
/// and a thread that is moved to another CPU meanwhile does no harm.
///
/// A cache that must see each call, because it checks or counts or is to fail, has magazines with the limit 0: these are
/// always empty and always full, and the short way has no test for it. So have all caches while magazines are off
/// (`Kmalloc.setMagazines`).
@safe
struct Magazine<P: Platform>: @unchecked Sendable {
    static var capacity: Int { 61 }

    struct Header: ~Copyable {
        /// The number of objects. For who holds the magazine; others may read a snapshot.
        let count = Atomic<Int>(0)
        /// The most objects that it may hold. For who holds the magazine.
        var limit: Int
        let lock = SpinLock<P>()
        /// Bytes of an object; 0 where objects have red zones, and so no more bytes than were asked for.
        let plainSize: UInt
        /// The address of the cache.
        let cache: UInt
    }

    /// An object with its state byte, so that allocating need not look for the slab.
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

        /// Notes down that the object is now its user's, or free.
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

    private let header: UnsafeMutablePointer<Header>

    /// Bytes of a magazine, and from one CPU's to the next's.
    @inline(__always)
    static var byteCount: Int { 1024 }

    /// The magazine at `address`, which `initialize(limit:plainSize:cache:)` has set up or will, of a CPU, counted from that
    /// of CPU 0.
    @inline(__always)
    init(at address: UInt, cpu: Int) {
        // Callers pass the address of a cache's magazines, of which there is one for each CPU.
        unsafe header =
            UnsafeMutablePointer(bitPattern: address &+ UInt(bitPattern: cpu &* Self.byteCount))
            .unsafelyUnwrapped
    }

    /// Makes the memory an empty magazine.
    func initialize(limit: Int, plainSize: UInt, cache: UInt) {
        unsafe header.initialize(to: Header(limit: limit, plainSize: plainSize, cache: cache))
    }

    /// The number of objects in it: a snapshot, but for who holds it.
    @inline(__always)
    var count: Int {
        get { unsafe header.pointee.count.load(ordering: .relaxed) }
        nonmutating set { unsafe header.pointee.count.store(newValue, ordering: .relaxed) }
    }

    /// The number of objects that it may hold. For who holds it.
    @inline(__always)
    var limit: Int {
        get { unsafe header.pointee.limit }
        nonmutating set { unsafe header.pointee.limit = newValue }
    }

    /// Bytes of an object of the cache; 0 where objects have red zones.
    @inline(__always)
    var plainSize: UInt { unsafe header.pointee.plainSize }

    /// The cache whose objects it holds.
    var cache: Permanent<SlabCache<P>> { CacheList.cache(at: unsafe header.pointee.cache) }

    /// Takes hold of the magazine. - Returns: false, at once, where somebody else has it.
    @inline(__always)
    func tryHold() -> Bool { unsafe header.pointee.lock.tryAcquireBriefly() }

    @inline(__always)
    func letGo() { unsafe header.pointee.lock.releaseBriefly() }

    /// The uppermost object, which is its user's now; nil where there is none or the magazine is held.
    @inline(__always)
    func allocate() -> UInt? {
        guard _fastPath(tryHold()) else { return nil }
        let last = count &- 1
        guard _fastPath(last >= 0) else {
            letGo()
            return nil
        }
        count = last
        let entry = entry(last)
        entry.setState(.allocated)
        letGo()
        return entry.object
    }

    /// Puts an object, which is free, on top. - Returns: false where there is no room or the magazine is held.
    @inline(__always)
    func free(_ entry: Entry) -> Bool {
        guard _fastPath(tryHold()) else { return false }
        let count = count
        guard _fastPath(count < limit) else {
            letGo()
            return false
        }
        put(entry, at: count)
        self.count = count &+ 1
        letGo()
        return true
    }

    // MARK: For who holds it

    /// The entry at a position below `count`.
    @inline(__always)
    func entry(_ position: Int) -> Entry { entries[position] }

    /// Puts an entry at a position below `capacity`.
    @inline(__always)
    func put(_ entry: Entry, at position: Int) { entries[position] = entry }

    @inline(__always)
    var entries: EntryList<P> {
        // Behind the header of 40 bytes.
        unsafe EntryList(in: UnsafeMutableRawPointer(header) + 40, capacity: Self.capacity)
    }
}
