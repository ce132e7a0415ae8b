import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Slab

// Calls that are wrong: each is reported as what it is, and changes nothing.
extension SlabOperationsFuzz {
    /// Frees an object of kmalloc's or a cache's, and uses it once more.
    mutating func freeTwice(at position: Int, _ argument: Int) throws {
        guard !objects.isEmpty else { return }
        let index = position % objects.count
        let object = objects[index]
        if case .pages = object.owner { return }
        try free(at: index)
        // Nothing is read or written through the stale address but by the allocator, which is to see what it is.
        switch argument & 3 {
        case 0:
            let size = unsafe kmalloc.value.size(of: object.pointer)
            try require(size == 0, "\(object) is free and has \(size) bytes")
        case 1:
            let result = unsafe kmalloc.value.krealloc(object.pointer, 100, .noWait | .noWarn)
            try unsafe require(result == nil, "\(object) is free and is reallocated")
        case 2:
            if case .cache(let identifier) = object.owner {
                unsafe CacheReference<Platform>(identifier: identifier).free(object.pointer)
            } else {
                unsafe kmalloc.value.kfree_sensitive(object.pointer)
            }
        default: unsafe kmalloc.value.kfree(object.pointer)
        }
        try expectReports([.doubleFree], "use of \(object), which is free (\(argument & 3))")
    }

    mutating func freeInterior(at position: Int, _ argument: Int) throws {
        guard !objects.isEmpty else { return }
        let object = objects[position % objects.count]
        guard object.size > 1 else { return }
        if case .pages = object.owner { return }
        let offset = 1 + (argument * 8191) % Int(object.size - 1)
        // Within the object; not followed.
        let address = unsafe object.pointer + offset
        if case .cache(let identifier) = object.owner, argument & 1 == 0 {
            unsafe CacheReference<Platform>(identifier: identifier).free(address)
        } else if argument & 2 == 0 {
            unsafe kmalloc.value.kfree(address)
        } else {
            let result = unsafe kmalloc.value.krealloc(address, object.size * 2, .noWait | .noWarn)
            try unsafe require(result == nil, "what is within \(object) is reallocated")
        }
        try expectReports([.misalignedFree], "free within \(object), at \(offset)")
    }

    /// Frees what was never an object.
    mutating func freeForeign(_ argument: Int) throws {
        let base = Self.machine.arena.directMap.virtualAddress(of: PhysicalAddress(0)).rawValue
        var address: UInt = [1, 8, 4096, .max - 7, base + 8, base - 4096][argument & 7 % 6]
        if argument & 8 != 0, let frame = taken.last {
            address = Self.machine.arena.directMap.virtualAddress(of: frame.address).rawValue + UInt(argument & 0xf0)
        }
        // Not an object's address; not followed.
        let pointer = unsafe UnsafeMutableRawPointer(bitPattern: address)
        if argument & 8 == 0 || argument & 0x10 == 0 {
            unsafe kmalloc.value.kfree(pointer)
        } else {
            _ = unsafe kmalloc.value.krealloc(pointer, 64, .noWait | .noWarn)
        }
        try expectReports([.wildFree], "kfree of \(address)")
        if let cache = anyCache(argument) {
            unsafe cache.reference.free(pointer)
            try expectReports([.wildFree], "kmem_cache_free of \(address)")
        }
    }

    mutating func freeToWrongCache(at position: Int, _ argument: Int) throws {
        guard !objects.isEmpty, let cache = anyCache(argument) else { return }
        let object = objects[position % objects.count]
        if object.owner == cache.owner { return }
        unsafe cache.reference.free(object.pointer)
        let isInSlab = frames.value.state(of: frame(of: object)) != .allocatedHead
        try expectReports([isInSlab ? .wrongCache : .wildFree], "free of \(object) to another cache")
    }

    /// Destroys a cache, and does it again.
    mutating func destroyTwice(at position: Int) throws {
        guard !caches.isEmpty else { return }
        let cache = caches[position % caches.count]
        let isShared = caches.count { $0.owner == cache.owner } > 1
        try destroyCache(at: position)
        if isShared || caches.contains(where: { $0.owner == cache.owner }) { return }
        let isGone = kmalloc.value.destroyCache(cache.reference)
        try require(!isGone, "a cache is destroyed twice")
        try expectReports([.doubleFree], "second kmem_cache_destroy")
    }

    /// Writes all over an object that has just been freed. Nothing comes of it, since nothing of the allocator's is there;
    /// with poison it is found.
    mutating func writeAfterFree(at position: Int) throws {
        guard !objects.isEmpty else { return }
        let index = position % objects.count
        let object = objects[index]
        guard object.kept == 0, object.size <= 8192 else { return }
        if case .pages = object.owner { return }
        let watched = poisons(object)
        let isTypesafe = self.isTypesafe(object)
        try free(at: index)
        // Its memory is nobody's; and what the caches have filled it with is theirs to look at.
        unsafe object.pointer.initializeMemory(as: UInt8.self, repeating: 0x99, count: Int(object.size))
        let frameState = frames.value.state(of: frame(of: object))
        let isFound = watched && !isTypesafe && (frameState == .slab || frameState == .slabTail)
        let found = kmalloc.value.validate()
        // The last byte has another pattern, and is told apart.
        let kinds = Self.machine.takeViolations().map(\.kind)
        try require(
            kinds.allSatisfy { $0 == .writeAfterFree } && kinds.count == found && found <= 2 && (found > 0) == isFound,
            "a write to \(object), which is free, is reported \(found) times: \(kinds)")
        try kmalloc.value.checkInvariants()
    }

    /// Writes the byte before or behind an object that has red zones.
    mutating func writeOutside(at position: Int, before: Bool) throws {
        guard !objects.isEmpty else { return }
        let object = objects[position % objects.count]
        guard object.owner == .kmalloc, object.isRequested, hasRedZones(object) else { return }
        let offset = before ? -1 : Int(object.size)
        // There is a red zone, at least a byte of it, on either side.
        let byte = unsafe object.pointer.load(fromByteOffset: offset, as: UInt8.self)
        unsafe object.pointer.storeBytes(of: byte ^ 0x41, toByteOffset: offset, as: UInt8.self)
        let found = kmalloc.value.validate()
        try expectReports([before ? .underrun : .overrun], "a write outside \(object)")
        let restored = unsafe object.pointer.load(fromByteOffset: offset, as: UInt8.self)
        try require(found == 1 && restored == byte, "a red zone is not made good")
    }

    // MARK: How an object is watched

    private func cacheFlags(of object: LiveObject) -> CacheFlags {
        switch object.owner {
        // The object's cache is there as long as the object.
        case .cache(let identifier): unsafe CacheReference<Platform>(identifier: identifier).flags
        case .kmalloc: object.isBlock ? .none : kmallocFlags
        case .pages: .none
        }
    }

    func hasRedZones(_ object: LiveObject) -> Bool { cacheFlags(of: object).contains(.redZone) }
    func poisons(_ object: LiveObject) -> Bool { cacheFlags(of: object).contains(.poison) }
    private func isTypesafe(_ object: LiveObject) -> Bool { cacheFlags(of: object).contains(.typesafe) }
}
