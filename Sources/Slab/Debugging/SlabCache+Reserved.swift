import MemoryPrimitives

// Objects that wait in the reserve of a memory pool. Their red zones are those of objects in use.
extension SlabCache {
    /// Moves an object from its user to the reserve of a pool, or back. Of two CPUs that try at once, one can.
    ///
    /// Where free objects are filled, so is one in reserve, and it is looked at when it leaves: whoever has written to it
    /// meanwhile is reported.
    /// - Returns: false, with nothing changed, where it is in another state. - Complexity: O(bytes) where it is filled.
    @inline(__always)
    func exchangeReserved(_ slab: SlabPage, _ index: Int, asReserved: Bool) -> Bool {
        if poisonsObjects { return exchangePoisoned(slab, index, asReserved: asReserved) }
        return Self.exchange(slab, index, asReserved: asReserved)
    }

    @inline(__always)
    private static func exchange(_ slab: SlabPage, _ index: Int, asReserved: Bool) -> Bool {
        asReserved
            ? slab.exchange(index, from: .allocated, to: .reserved)
            : slab.exchange(index, from: .reserved, to: .allocated)
    }

    /// The state and the contents change together, for a walk over all slabs.
    @inline(never)
    private func exchangePoisoned(_ slab: SlabPage, _ index: Int, asReserved: Bool) -> Bool {
        debugging.value.lock.withLock {
            guard Self.exchange(slab, index, asReserved: asReserved) else { return false }
            let object = slab.address(of: index, slotSize: layout.slotSize)
            if asReserved {
                fillFree(object, byteCount: reservedByteCount(of: object))
            } else {
                _ = checkReserved(object, in: "mempool")
            }
            return true
        }
    }

    /// Looks at the contents of an object in reserve, with `debugging`'s lock held: reports what has been written, and
    /// restores it. - Returns: the number of such parts.
    func checkReserved(_ object: UInt, in call: StaticString) -> Int {
        guard poisonsObjects else { return 0 }
        return checkPoison(PartCheck(object: object, call: call), byteCount: reservedByteCount(of: object))
    }

    /// What is filled: not the red zone behind what was asked for. That number may have been overwritten.
    private func reservedByteCount(of object: UInt) -> UInt { max(1, requestedSize(of: object)) }
}
