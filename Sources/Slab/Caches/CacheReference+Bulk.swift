import MemoryPrimitives
import PageFrames

extension CacheReference {
    /// Allocates several objects, or none.
    ///
    /// - Parameters:
    ///   - count: objects.
    ///   - objects: room for as many addresses. What it holds after a failure means nothing.
    ///   - flags: as in `allocate(flags:)`.
    /// - Returns: false, with all given back, where not as many can be had.
    /// - Complexity: O(count).
    public func allocate(
        _ count: Int, into objects: UnsafeMutablePointer<UnsafeMutableRawPointer?>, flags: AllocationFlags = .kernel
    ) -> Bool {
        let taken = unsafe takeRun(count, objects)
        if taken == count, !flags.contains(.zero) { return true }
        return unsafe allocateRest(count, taken, objects, flags)
    }

    /// Moves up to `count` objects from this CPU's magazine to their user. - Returns: how many.
    @inline(__always)
    private func takeRun(_ count: Int, _ objects: UnsafeMutablePointer<UnsafeMutableRawPointer?>) -> Int {
        let magazine = cache.value.magazine(P.currentCPU)
        guard magazine.tryHold() else { return 0 }
        let held = magazine.count
        let left = held &- max(0, min(count, held))
        var position = held
        var taken = 0
        while position != left {
            position &-= 1
            let entry = magazine.entry(position)
            entry.setState(.allocated)
            // Within the caller's room: no more than `count`.
            unsafe objects[taken] = UnsafeMutableRawPointer(bitPattern: entry.object)
            taken &+= 1
        }
        magazine.count = left
        magazine.letGo()
        return taken
    }

    @inline(never)
    private func allocateRest(
        _ count: Int, _ taken: Int, _ objects: UnsafeMutablePointer<UnsafeMutableRawPointer?>, _ flags: AllocationFlags
    ) -> Bool {
        var taken = taken
        // A watched cache clears each object itself: no more of it than its user may touch.
        let clearsAtEnd = flags.contains(.zero) && !cache.value.isWatched
        let wanted = clearsAtEnd ? flags.subtracting(.zero) : flags
        while taken < count {
            // One object from the slabs fills the magazine, too.
            guard let object = unsafe allocate(flags: wanted) else {
                unsafe free(UnsafePointer(objects), count: taken)
                return false
            }
            // As above.
            unsafe objects[taken] = object
            taken &+= 1
            taken &+= unsafe takeRun(count &- taken, objects + taken)
        }
        if clearsAtEnd {
            let byteCount = cache.value.clearedByteCount
            for index in 0..<taken { _ = unsafe Magazine<P>.clear(UInt(bitPattern: objects[index]), byteCount) }
        }
        return true
    }

    /// Gives several objects back, each as `free(_:)` does.
    ///
    /// - Parameters:
    ///   - objects: `count` addresses; nil among them does nothing.
    ///   - count: how many there are.
    /// - Complexity: O(count).
    public func free(_ objects: UnsafePointer<UnsafeMutableRawPointer?>, count: Int) {
        var position = unsafe freeRun(objects, 0, count)
        while position < count {
            // What the magazine had no room for, or an error.
            unsafe free(objects[position])
            position = unsafe freeRun(objects, position &+ 1, count)
        }
    }

    /// Moves objects from their user to this CPU's magazine, from a position on.
    /// - Returns: the position of the first that does not go there; `count` where all do.
    @inline(__always)
    private func freeRun(_ objects: UnsafePointer<UnsafeMutableRawPointer?>, _ start: Int, _ count: Int) -> Int {
        let magazine = cache.value.magazine(P.currentCPU)
        guard magazine.tryHold() else { return start }
        let end = min(count, start &+ magazine.limit &- magazine.count)
        var held = magazine.count
        var position = start
        // What all slabs of the cache have in common; and the slab of the last object, which is often the next one's.
        let indexing = cache.value.layout.indexing
        let objectCount = UInt32(truncatingIfNeeded: cache.value.layout.objectCount)
        let span = cache.value.layout.slotSize &* UInt(objectCount)
        var slab: SlabPage?
        var base: UInt = 0
        while position < end {
            // A position below `count`.
            let object = unsafe UInt(bitPattern: objects[position])
            if slab == nil || object &- base >= span {
                slab = ownSlab(of: object)
                base = slab?.base ?? 0
            }
            let index = indexing.index(atOffset: UInt32(truncatingIfNeeded: object &- base))
            guard let slab, index < objectCount, slab.retract(Int(index)) else { break }
            // The object's own state byte.
            magazine.put(unsafe Magazine<P>.Entry(object: object, state: slab.statePointer(Int(index))), at: held)
            held &+= 1
            position &+= 1
        }
        magazine.count = held
        magazine.letGo()
        return position
    }
}
