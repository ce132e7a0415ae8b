import MemoryPrimitives
import PageFrames

// What a watched cache does beyond handing out memory when an object goes from free to allocated and back.
extension SlabCache {
    /// Makes a slab that nobody sees yet look as one of free objects.
    @inline(never)
    func prepareForChecks(_ slab: SlabPage) {
        let block = slab.base &- layout.objectOffset
        if flags.contains(.poison) {
            SlabBytes.fill(block, layout.frameCount << PageSize.shift, with: SlabBytes.padding)
        }
        for index in 0..<layout.objectCount {
            let object = slab.address(of: index, slotSize: layout.slotSize)
            fillRedZones(of: object, isFree: true, layout.objectSize)
            if poisonsObjects { fillFree(object) }
            // The slot's own memory.
            unsafe track(of: object, .allocation)?.pointee = ObjectTrack()
            unsafe track(of: object, .free)?.pointee = ObjectTrack()
        }
    }

    /// An object that has been looked at, for a user who asks for so many bytes; 0 for a whole object.
    func takeChecked(_ flags: AllocationFlags, _ requested: UInt) -> UInt? {
        while true {
            let object: UInt? = debugging.value.lock.withLock {
                guard let object = takeSingle() else { return nil }
                makeUsed(object, requested)
                return object
            }
            if let object { return object }
            guard addSlab(flags) else { return nil }
        }
    }

    /// Looks at an object that was free, and notes down that it is not any more.
    @inline(never)
    private func makeUsed(_ object: UInt, _ requested: UInt) {
        if flags.contains(.consistencyChecks) { checkHeader(of: object, in: "kmalloc") }
        _ = checkSurroundings(of: object, isFree: true, in: "kmalloc")
        fillRedZones(of: object, isFree: false, requestedSize(requested))
        if flags.contains(.trace) { tellOf(object, isAllocation: true) }
    }

    /// Looks at an object that its user has given back and makes it a free one.
    @inline(never)
    func makeFree(_ entry: Magazine<P>.Entry) {
        debugging.value.lock.withLock {
            let object = entry.object
            if flags.contains(.consistencyChecks) { checkHeader(of: object, in: "kfree") }
            _ = checkSurroundings(of: object, isFree: false, in: "kfree")
            if flags.contains(.trace) { tellOf(object, isAllocation: false) }
            if poisonsObjects {
                fillFree(object)
            } else if debugging.value.options.zeroOnFree, mayBeZeroed {
                SlabBytes.fill(object, layout.objectSize, with: 0)
            }
            fillRedZones(of: object, isFree: true, layout.objectSize)
        }
    }

    /// Clears what the user asked for, where he wants that or the options do.
    func clearForUser(_ object: UInt, _ flags: AllocationFlags, _ requested: UInt) {
        let isChosen = debugging.value.options.zeroOnAllocation && mayBeZeroed
        guard flags.contains(.zero) || isChosen else { return }
        // Where the rest is no red zone it may be used, too.
        let size = self.flags.contains(.redZone) ? requestedSize(requested) : layout.objectSize
        SlabBytes.fill(object, size, with: 0)
    }

    /// Notes down that an allocated object's user wants another number of its bytes, or all: the rest is red zone.
    /// What becomes usable is zeroed where `clears`, and else has any contents.
    func changeRequest(of object: UInt, to requested: UInt, clears: Bool = false) {
        debugging.value.lock.withLock {
            let old = requestedSize(of: object)
            if flags.contains(.redZone) {
                _ = checkSurroundings(of: object, isFree: false, in: "krealloc")
                fillRedZones(of: object, isFree: false, requested)
            }
            if clears, requested > old { SlabBytes.fill(object &+ old, requested &- old, with: 0) }
        }
    }

    /// Poison goes before zeroes, as in Linux, and there are objects that are to keep their contents.
    private var mayBeZeroed: Bool { flags.rawValue & (CacheFlags.poison | .typesafe).rawValue == 0 }

    private func requestedSize(_ requested: UInt) -> UInt {
        requested == 0 ? layout.objectSize : min(requested, layout.objectSize)
    }

    /// Says that an object is handed out or given back.
    @inline(never)
    private func tellOf(_ object: UInt, isAllocation: Bool) {
        let used = slab(of: object).map { $0.objectCount - $0.freeCount } ?? 0
        P.report(TracedObject(object: object, cache: address, used: used, isAllocation: isAllocation))
    }
}
