import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Slab

// Memory pools, and a partition of a few blocks.
extension SlabOperationsFuzz {
    mutating func makePool(_ argument: Int) throws {
        let minimum = argument >> 3
        let size = anySize(argument << 2)
        guard pools.count < 8 else { return }
        let marks = marks()
        do throws(PoolError) {
            switch argument & 3 {
            case 0:
                let order = Int(size & 3)
                try pools.append(
                    LivePool(
                        MemoryPool(minimum, order: order, in: kmalloc), .pages(order: order),
                        size: PageSize.byteCount << UInt(order)))
            case 1 where !caches.isEmpty:
                let cache = caches[Int(size) % caches.count]
                try pools.append(
                    LivePool(
                        MemoryPool(minimum, of: cache.reference, in: kmalloc), .objects(cache.owner), size: cache.size,
                        kept: cache.isConstructed ? 8 : 0))
            default:
                try pools.append(
                    LivePool(
                        MemoryPool(minimum, elementSize: size, in: kmalloc),
                        size > 8192 ? .blocks : .objects(.kmalloc), size: size))
            }
        } catch {
            switch error {
            case .badMinimum: try require(minimum == 0, "a reserve of \(minimum)")
            case .badSize: try require(size == 0 || size > Allocator.largestByteCount, "elements of \(size) bytes")
            case .badOrder: throw Finding("order \(size & 3)")
            case .outOfMemory: try requireRefusal(max(size, 4096), .kernel, since: marks, count: minimum + 2)
            }
        }
    }

    /// Elements that are in use are an error, and stay their users'.
    mutating func destroyPool(at position: Int) throws {
        guard !pools.isEmpty else { return }
        let left = endPool(at: position % pools.count)
        try expectReports(left == 0 ? [] : [.objectInUse], "mempool_destroy")
    }

    /// - Returns: the elements in use.
    private mutating func endPool(at index: Int) -> Int {
        // Nobody else refers to it: it ends here.
        let left = pools[index].elements.count
        let owner = pools[index].owner
        for var element in pools[index].elements {
            element.owner = owner
            element.isRequested = false
            objects.append(element)
        }
        pools.remove(at: index)
        return left
    }

    mutating func endPools() {
        while !pools.isEmpty { _ = endPool(at: 0) }
        _ = Self.machine.takeViolations()
    }

    mutating func allocateElement(at position: Int) throws {
        let flags = anyFlags()
        let seed = input.byte()
        guard !pools.isEmpty else { return }
        let pool = pools[position % pools.count]
        let marks = marks()
        let reserved = pool.pool.reserved
        guard let pointer = unsafe pool.pool.mempool_alloc(flags) else {
            try require(reserved == 0, "a pool keeps \(reserved) elements to itself")
            return try requireRefusal(pool.size, flags.subtracting(.dma | .dma32), since: marks)
        }
        let element = unsafe LiveObject(
            pointer: pointer, size: pool.size, kept: pool.kept, seed: seed, owner: pool.owner)
        if pool.kept > 0 {
            try element.check(first: pool.kept)
        } else if flags.contains(.zero) {
            try element.checkZero()
        }
        try requireNew(element)
        element.fill()
        pool.elements.append(element)
    }

    /// Now and then twice.
    mutating func freeElement(at position: Int) throws {
        let place = Int(input.byte())
        guard !pools.isEmpty else { return }
        let pool = pools[position % pools.count]
        guard !pool.elements.isEmpty else { return }
        let element = pool.elements.remove(at: place % pool.elements.count)
        try element.check()
        let isReserveFull = pool.pool.reserved >= pool.pool.minimum
        let reserved = pool.pool.reserved
        unsafe pool.pool.mempool_free(element.pointer)
        try expectReports([], "mempool_free of \(element)")
        try require(pool.pool.reserved == (isReserveFull ? reserved : reserved + 1), "the reserve is filled first")
        guard position >= 192 else { return }
        unsafe pool.pool.mempool_free(element.pointer)
        try expectReports([.doubleFree], "second mempool_free of \(element)")
        if case .pages = pool.source { return }
        unsafe kmalloc.value.kfree(element.pointer)
        try expectReports([.doubleFree], "kfree of \(element), which a pool has")
    }

    mutating func resizePool(at position: Int) throws {
        let minimum = Int(input.byte() & 63)
        guard !pools.isEmpty else { return }
        let pool = pools[position % pools.count]
        let old = pool.pool.minimum
        let reserved = pool.pool.reserved
        let marks = marks()
        if pool.pool.mempool_resize(minimum) {
            try require(pool.pool.minimum == minimum || minimum < old, "resize to \(minimum): \(pool.pool.minimum)")
            return try require(pool.pool.reserved <= pool.pool.minimum, "a reserve overflows")
        }
        try require(
            pool.pool.minimum == old && pool.pool.reserved == reserved, "a resize that failed has done something")
        if minimum > 0 { try requireRefusal(max(pool.size, 4096), .kernel, since: marks, count: minimum + 1) }
    }
}

/// Blocks of 24 bytes, and who has them.
@safe
final class LivePartition {
    private static let blockCount = 20
    private let partition: FixedPartition<SlabOperationsFuzz.Platform>
    private let storage: UnsafeMutableRawBufferPointer
    private var taken = unsafe [UnsafeMutableRawPointer]()

    init() {
        let byteCount = FixedPartition<SlabOperationsFuzz.Platform>.byteCount(
            blockSize: 24, blockCount: Self.blockCount)
        unsafe storage = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(byteCount), alignment: 8)
        // The storage is the partition's own until both end.
        unsafe partition = try! FixedPartition(in: storage, blockSize: 24, blockCount: Self.blockCount)
    }

    deinit { unsafe storage.deallocate() }

    func get() throws {
        let isFull = unsafe taken.count == Self.blockCount
        guard let block = unsafe partition.get() else { return try require(isFull, "a partition has a block left") }
        try require(!isFull, "a partition has more blocks than it has")
        try unsafe require(!taken.contains(block), "a block of a partition is given twice")
        unsafe block.initializeMemory(as: UInt8.self, repeating: 0xff, count: 24)
        unsafe taken.append(block)
        try check()
    }

    /// Puts a block, or what is none. - Returns: what has to be reported.
    func put(_ argument: Int) throws -> [MemoryViolation.Kind] {
        guard let block = unsafe taken.isEmpty ? nil : taken[argument % taken.count] else {
            try unsafe require(!partition.put(storage.baseAddress), "a free block is put")
            return [.doubleFree]
        }
        if argument & 0xc0 == 0xc0 {
            try unsafe require(!partition.put(block + 1 + argument % 23), "what is within a block is put")
            try unsafe require(!partition.put(storage.baseAddress! + 24 * Self.blockCount), "what is no block is put")
            return [.misalignedFree, .wildFree]
        }
        unsafe taken.removeAll { unsafe $0 == block }
        try unsafe require(partition.put(block), "a block is refused")
        try check()
        if argument & 0x20 == 0 { return [] }
        try unsafe require(!partition.put(block), "a block is put twice")
        try check()
        return [.doubleFree]
    }

    private func check() throws {
        let free = partition.freeCount
        try unsafe require(free == Self.blockCount - taken.count, "\(free) blocks are free")
    }
}
