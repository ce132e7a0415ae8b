import MemoryPrimitives
import PageFrames
import Slab

// Caches come and go.
extension SlabOperationsFuzz {
    private static let cacheFlags: [CacheFlags] = [
        .none, .noMerge, .hardwareCacheAlign, .reclaimable, .dma, .typesafe, .redZone | .storeUser, .poison,
        .consistencyChecks | .trace, .noLeakTrace, .poison | .redZone | .hardwareCacheAlign, .failslab, .panic,
        .noMerge | .reclaimable, .typesafe | .poison | .redZone, .none,
    ]

    func anyCache(_ position: Int) -> LiveCache? { caches.isEmpty ? nil : caches[position % caches.count] }

    mutating func makeCache(_ argument: Int) throws {
        let low = UInt(input.byte())
        let size = low << (argument & 1 == 0 ? 0 : low & 1 == 0 ? 5 : 7)
        let flags = Self.cacheFlags[argument >> 1 & 15]
        let alignment: UInt = [0, 0, 0, 8, 64, 256, 3, 4096][argument >> 5]
        // Now and then with a constructor, for objects in which there is room for what it writes.
        let isConstructed = size >= 16 && size & 7 == 4
        guard caches.count < 16 else { return }
        let marks = marks()
        do throws(CacheError) {
            // It writes to the object that it is given, which has as many bytes.
            let reference = try unsafe kmalloc.value.makeCache(
                caches.count & 1 == 0 ? "test" : "fuzz", objectSize: size, alignment: alignment, flags: flags,
                constructor: isConstructed ? construct : nil)
            try! require(size > 0 && alignment != 3, "a cache that cannot be")
            caches.append(
                LiveCache(reference: reference, size: size, alignment: max(8, alignment), isConstructed: isConstructed))
        } catch {
            try expectReports(flags.contains(.panic) ? [.missingCache] : [], "makeCache")
            switch error {
            case .noSize: try require(size == 0, "a cache for \(size) bytes has no size")
            case .alignmentNotPowerOfTwo: try require(alignment == 3, "alignment \(alignment)")
            case .sizeTooLarge:
                try require(size + max(8, alignment) > 32768, "\(size) bytes aligned to \(alignment) are too large")
            case .outOfMemory: try requireRefusal(4096, .kernel, since: marks)
            default: throw Finding("\(error)")
            }
        }
    }

    mutating func destroyCache(at position: Int) throws {
        guard !caches.isEmpty else { return }
        let index = position % caches.count
        let cache = caches[index]
        // A pool's cache must stay as long as the pool.
        if pools.contains(where: { $0.source == .objects(cache.owner) }) { return }
        let isShared = caches.count { $0.owner == cache.owner } > 1
        let left = objects.filter { $0.owner == cache.owner }
        let isGone = kmalloc.value.destroyCache(cache.reference)
        let isRight = isShared || left.isEmpty
        try require(isGone == isRight, "a cache with \(left.count) objects is destroyed: \(isGone)")
        let found = Self.machine.takeViolations()
        try require(
            found.allSatisfy { $0.kind == .objectInUse } && found.isEmpty == isRight
                && (isShared || found.reduce(0) { $0 + $1.value } == left.count),
            "\(left.count) objects remain, reported: \(found.map(\.value))")
        if isGone { caches.remove(at: index) }
    }

    /// The note of an object that a cache has handed out, after a look at it.
    private mutating func made(
        _ pointer: UnsafeMutableRawPointer, by cache: LiveCache, _ flags: AllocationFlags
    ) throws -> LiveObject {
        let object = unsafe LiveObject(
            pointer: pointer, size: cache.size, kept: cache.isConstructed ? 8 : 0, seed: input.byte(),
            owner: cache.owner)
        try require(object.address & (cache.alignment - 1) == 0, "\(object) is not aligned to \(cache.alignment)")
        if cache.isConstructed {
            try object.check(first: 8)
        } else if flags.contains(.zero) {
            try object.checkZero()
        }
        if cache.reference.flags.contains(.dma) { try requireZone(object, .dma) }
        return object
    }

    mutating func allocateObject(at position: Int) throws {
        let flags = anyFlags()
        guard let cache = anyCache(position) else { return }
        let marks = marks()
        guard let pointer = unsafe cache.reference.allocate(flags: flags) else {
            return try requireRefusal(cache.size, zone(of: cache, flags), since: marks)
        }
        try unsafe add(made(pointer, by: cache, flags))
    }

    /// The cache decides the zone.
    private func zone(of cache: LiveCache, _ flags: AllocationFlags) -> AllocationFlags {
        let others = flags.subtracting(.dma | .dma32)
        return cache.reference.flags.contains(.dma) ? others | .dma : others
    }

    /// All or none.
    mutating func allocateBulk(at position: Int, count: Int) throws {
        let flags = anyFlags()
        guard let cache = anyCache(position) else { return }
        let marks = marks()
        let before = activeObjects
        var pointers = unsafe [UnsafeMutableRawPointer?](repeating: nil, count: max(1, count))
        let given = unsafe pointers.withUnsafeMutableBufferPointer { room in
            unsafe kmalloc.value.kmem_cache_alloc_bulk(cache.reference, flags, count, room.baseAddress!)
        }
        if given == 0, count > 0 {
            let lost = activeObjects - before
            try require(lost == 0, "\(lost) objects are lost")
            return try requireRefusal(cache.size, zone(of: cache, flags), since: marks, count: count)
        }
        try require(given == count, "\(given) of \(count) objects")
        for index in 0..<count { try unsafe add(made(pointers[index]!, by: cache, flags)) }
    }

    /// Of one cache, with a nil among them, and now and then one twice.
    mutating func freeBulk(at position: Int, count: Int) throws {
        guard let cache = anyCache(position) else { return }
        var freed = unsafe [UnsafeMutableRawPointer?]()
        var index = objects.count - 1
        while index >= 0, unsafe freed.count < count {
            if objects[index].owner == cache.owner {
                let object = objects.remove(at: index)
                try object.check()
                unsafe freed.append(object.pointer)
            }
            index -= 1
        }
        let isWrong = unsafe count & 3 == 1 && !freed.isEmpty
        if isWrong { unsafe freed.append(freed[0]) }
        unsafe freed.insert(nil, at: freed.count / 2)
        unsafe freed.withUnsafeBufferPointer { objects in
            unsafe kmalloc.value.kmem_cache_free_bulk(cache.reference, objects.count, objects.baseAddress!)
        }
        try expectReports(isWrong ? [.doubleFree] : [], "kmem_cache_free_bulk")
    }
}

/// What caches of the fuzz target may have as their constructor.
private let construct: ObjectConstructor = { object in
    unsafe object.initializeMemory(as: UInt8.self, repeating: LiveObject.constructed, count: 8)
}
