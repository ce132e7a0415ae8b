import MemoryPrimitives

/// What a cache keeps for its CPUs' magazines: objects that are free, in buckets, past the slabs. As the depot of Bonwick
/// and Adams ("Magazines and Vmem", 2001) and the buckets of FreeBSD's UMA.
///
///     a magazine is full --> an empty bucket takes most of it --> full
///     a magazine is empty <-- a full bucket gives all to it  <-- full
///
/// So a load that goes up and down, and objects that one CPU allocates and another frees, cost a copy for dozens of
/// objects, and not a search for the slab of each.
///
/// What it holds is bounded by what is needed: exchanges are counted, and buckets that were not needed for as many as it
/// takes to empty and fill the depot twice are `surplus`. Their objects go home, a bucket at a time; where frames run
/// short, all do. A load that has gone up once and stays there keeps nothing.
///
/// Under the cache's lock.
struct Depot<P: Platform> {
    private(set) var full = BucketStack<P>()
    private(set) var empty = BucketStack<P>()
    /// The objects in the full buckets.
    private(set) var objectCount = 0
    /// Exchanges since buckets were last found to be needed or not.
    private var exchanges = 0
    /// Exchanges to come for which no memory is asked for more buckets, since there was none.
    private var patience = 0

    @inline(__always)
    init() {}

    /// Where the number of objects is kept, for a debugger.
    var objectCountAddress: UInt {
        // Only the address is taken.
        mutating get { unsafe withUnsafePointer(to: &objectCount) { UInt(bitPattern: $0) } }
    }

    /// All buckets.
    @inline(__always)
    var bucketCount: Int { full.count &+ empty.count }

    /// Whether there is a bucket that is not needed.
    @inline(__always)
    var hasSurplus: Bool { full.surplus | empty.surplus != 0 }

    /// Whether it is worth the while to ask for memory for a bucket.
    @inline(__always)
    var mayGrow: Bool { patience == 0 }

    /// Takes most of a full magazine, which the caller holds, all but `left`. - Returns: false where there is no empty bucket.
    @inline(__always)
    mutating func stow(_ magazine: Magazine<P>, leaving left: Int) -> Bool {
        countExchange()
        guard let bucket = empty.pop() else { return false }
        bucket.take(from: magazine, leaving: left)
        add(bucket)
        return true
    }

    /// Adds a bucket that holds objects.
    @inline(__always)
    mutating func add(_ bucket: Bucket<P>) {
        objectCount &+= bucket.count
        full.push(bucket)
    }

    /// Fills a magazine, empty, which the caller holds. - Returns: false where there is no full bucket.
    @inline(__always)
    mutating func fill(_ magazine: Magazine<P>) -> Bool {
        countExchange()
        guard let bucket = full.pop() else { return false }
        objectCount &-= bucket.count
        bucket.give(to: magazine)
        empty.push(bucket)
        return true
    }

    /// Takes one object; nil where there is none.
    mutating func takeOne() -> Magazine<P>.Entry? {
        guard let bucket = full.pop() else { return nil }
        let last = bucket.count &- 1
        bucket.count = last
        objectCount &-= 1
        if last == 0 { empty.push(bucket) } else { full.push(bucket) }
        return bucket.entries[last]
    }

    /// Takes a bucket with its objects out; nil where there is none.
    mutating func takeFull() -> Bucket<P>? {
        guard let bucket = full.pop() else { return nil }
        objectCount &-= bucket.count
        return bucket
    }

    /// Takes an empty bucket out; nil where there is none.
    mutating func takeEmpty() -> Bucket<P>? {
        guard let bucket = empty.pop() else { return nil }
        bucket.count = 0
        return bucket
    }

    /// Takes a bucket out that is not needed, a full one first; nil where there is none.
    mutating func takeSurplus() -> Bucket<P>? {
        if let bucket = full.popSurplus() {
            objectCount &-= bucket.count
            return bucket
        }
        guard let bucket = empty.popSurplus() else { return nil }
        bucket.count = 0
        return bucket
    }

    /// Takes note that there was no memory for a bucket.
    mutating func wait() { patience = 256 }

    @inline(__always)
    private mutating func countExchange() {
        exchanges &+= 1
        if patience > 0 { patience &-= 1 }
        // A depot that is being filled for the first time is always too large for this.
        if exchanges > 64 &+ 4 &* bucketCount { endInterval() }
    }

    @inline(never)
    private mutating func endInterval() {
        exchanges = 0
        full.endInterval()
        empty.endInterval()
    }
}
