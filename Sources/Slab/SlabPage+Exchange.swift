import Synchronization

extension SlabPage {
    /// Moves an object from one state to another; of two that try at once, one can.
    /// - Returns: false where it is in another state, with nothing changed.
    func exchange(_ index: Int, from old: ObjectState, to new: ObjectState) -> Bool {
        // Callers pass indices of objects of this slab, whose state bytes outlive the objects.
        unsafe statePointer(index).pointee.compareExchange(
            expected: old.rawValue, desired: new.rawValue, ordering: .acquiringAndReleasing
        ).exchanged
    }
}
