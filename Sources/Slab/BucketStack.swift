import MemoryPrimitives

/// Buckets, the last that came first, and how many of them are not needed. Under the cache's lock.
struct BucketStack<P: Platform> {
    /// The address of the first; 0 for none.
    private(set) var first: UInt = 0
    private(set) var count = 0
    /// Buckets to be given back: as many as were never needed in the last interval, less those that have been needed since.
    private(set) var surplus = 0
    /// The fewest that there were in this interval.
    private var least = 0

    @inline(__always)
    mutating func push(_ bucket: Bucket<P>) {
        bucket.next = first
        first = bucket.address
        count &+= 1
    }

    @inline(__always)
    mutating func pop() -> Bucket<P>? {
        if first == 0 { return nil }
        let bucket = Bucket<P>(at: first)
        first = bucket.next
        count &-= 1
        least = min(least, count)
        surplus = min(surplus, least)
        return bucket
    }

    /// Takes out one that is not needed; nil where there is none.
    mutating func popSurplus() -> Bucket<P>? {
        if surplus == 0 { return nil }
        surplus &-= 1
        return pop()
    }

    /// Ends an interval: what was there all the time was not needed.
    mutating func endInterval() {
        surplus = least
        least = count
    }
}
