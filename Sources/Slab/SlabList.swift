/// A doubly linked list of slabs, threaded through their headers. Under the cache's lock.
struct SlabList {
    private(set) var first: SlabPage?
    private(set) var count = 0

    /// - Complexity: O(1).
    mutating func insert(_ slab: SlabPage) {
        slab.previous = nil
        slab.next = first
        first?.previous = slab
        first = slab
        count &+= 1
    }

    /// Takes out a slab that is in this list. - Complexity: O(1).
    mutating func remove(_ slab: SlabPage) {
        if let previous = slab.previous { previous.next = slab.next } else { first = slab.next }
        slab.next?.previous = slab.previous
        slab.next = nil
        slab.previous = nil
        count &-= 1
    }
}
