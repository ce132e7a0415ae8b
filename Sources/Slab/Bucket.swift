import MemoryPrimitives

/// Free objects of one cache on their way from a full magazine to an empty one: a part of the cache's depot.
///
///     | next, count, capacity | objects | addresses of their state bytes |
///
/// What is in it is under the cache's lock, or for who has taken it out of the depot.
@safe
struct Bucket<P: Platform> {
    /// Bytes of memory of a bucket for `capacity` objects.
    static func byteCount(capacity: Int) -> Int {
        MemoryLayout<Header>.stride + EntryList<P>.byteCount(capacity: capacity)
    }

    @safe
    private struct Header {
        /// The address of the next bucket of its stack; 0 for none.
        var next: UInt
        /// The number of objects.
        var count: UInt32
        let capacity: UInt32
    }

    private let header: UnsafeMutablePointer<Header>

    /// The bucket at an address that another value has told.
    @inline(__always)
    init(at address: UInt) {
        // Such addresses are not 0.
        unsafe header = UnsafeMutablePointer(bitPattern: address).unsafelyUnwrapped
    }

    /// A new bucket, without objects, in `memory`: `byteCount(capacity:)` bytes, aligned to 8, that nobody else uses.
    @unsafe
    init(in memory: UnsafeMutableRawPointer, capacity: Int) {
        unsafe header = memory.bindMemory(to: Header.self, capacity: 1)
        unsafe header.initialize(to: Header(next: 0, count: 0, capacity: UInt32(truncatingIfNeeded: capacity)))
    }

    @inline(__always)
    var address: UInt { unsafe UInt(bitPattern: header) }

    @inline(__always)
    var next: UInt {
        // Its own memory, here and below.
        get { unsafe header.pointee.next }
        nonmutating set { unsafe header.pointee.next = newValue }
    }

    @inline(__always)
    var count: Int {
        get { unsafe Int(truncatingIfNeeded: header.pointee.count) }
        nonmutating set { unsafe header.pointee.count = UInt32(truncatingIfNeeded: newValue) }
    }

    @inline(__always)
    var capacity: Int { unsafe Int(truncatingIfNeeded: header.pointee.capacity) }

    /// Bytes of memory of this bucket.
    var byteCount: Int { Self.byteCount(capacity: capacity) }

    @inline(__always)
    var entries: EntryList<P> {
        unsafe EntryList(in: UnsafeMutableRawPointer(header + 1), capacity: capacity)
    }

    /// Takes the uppermost objects of a magazine that the caller holds, all but `left`, no more than `capacity`. What was in
    /// the bucket is forgotten.
    @inline(__always)
    func take(from magazine: Magazine<P>, leaving left: Int) {
        let moved = magazine.count &- left
        entries.fill(from: magazine.entries, at: left, count: moved)
        count = moved
        magazine.count = left
    }

    /// Gives all objects to a magazine, empty, that the caller holds.
    @inline(__always)
    func give(to magazine: Magazine<P>) {
        let moved = count
        magazine.entries.fill(from: entries, at: 0, count: moved)
        magazine.count = moved
    }
}
