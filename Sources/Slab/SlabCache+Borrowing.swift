import MemoryPrimitives
import PageFrames

// Size classes help each other out.
//
// Each class needs most memory at another time. If each had to serve its own peak, the slabs of one would stand half empty
// while another asks the buddy for more, and hardly a slab ever becomes wholly free to be passed on. So before a class
// makes a slab it takes objects that a larger class has to spare. Such an object costs a search, and some bytes: a class
// that goes on needing them makes a slab of its own after as many as that has.
extension SlabCache {
    /// An object of a larger size class, for a class that is out of objects; nil where none has one to spare.
    ///
    /// The object is at most twice as large as this class's, and aligned as what was asked for must be. Its home is its own
    /// slab, where `free` puts it, and which says how large it is.
    ///
    /// - Parameter requested: bytes, which say how the object must be aligned; 0 for a whole object of this cache, for
    ///   which no other will do.
    /// - Complexity: O(classes).
    @inline(never)
    func borrow(_ requested: UInt) -> UInt? {
        let alignment = requested & (0 &- requested)
        guard larger != 0, mayBorrow() else { return nil }
        var next = larger
        while next != 0 {
            let lender = CacheList<P>.cache(at: next)
            // Who watches the other class expects no strangers there.
            if lender.value.objectSize > 2 &* objectSize || lender.value.isWatched { return nil }
            if lender.value.objectSize & (alignment &- 1) == 0, let object = lender.value.takeSpare() {
                return object
            }
            next = lender.value.larger
        }
        return nil
    }

    /// Counts an attempt to borrow. - Returns: false where it is time for a slab.
    private func mayBorrow() -> Bool {
        withState { state in
            if state.slabsFetched &- state.slabsReturned < 4 { return false }
            state.borrowedObjects &+= 1
            if state.borrowedObjects <= 4 &* layout.objectCount { return true }
            state.borrowedObjects = 0
            return false
        }
    }

    /// An object, if there are more than half a slab's, past the magazines. With fewer the class soon needs them itself:
    /// while all classes grow, each would take from the next.
    private func takeSpare() -> UInt? {
        withState { state in
            state.freeObjects &+ state.depot.objectCount > layout.objectCount / 2 ? takeSingle(&state) : nil
        }
    }
}
