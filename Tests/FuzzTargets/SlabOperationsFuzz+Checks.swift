import MemoryPrimitives
import PageFrames
import SimulatedMachine
import Slab

// What must hold of everything together, now and in the end, and when a call may say that there is no memory.
extension SlabOperationsFuzz {
    func expectReports(_ expected: [MemoryViolation.Kind], _ call: @autoclosure () -> String) throws {
        let found = Self.machine.takeViolations()
        try require(found.map(\.kind) == expected, "\(call()): reported \(found), not \(expected)")
        _ = Self.machine.takeFailedAllocations()
        _ = Self.machine.takeTracedObjects()
    }

    func check() throws {
        try kmalloc.value.checkInvariants()
        try frames.value.checkInvariants()
        let found = kmalloc.value.validate()
        try require(found == 0, "\(found) objects are damaged")
        for object in objects { try object.check() }
        for pool in pools { for element in pool.elements { try element.check() } }
        try checkCounts()
    }

    /// The objects that are somebody's, kmalloc's own among them.
    var activeObjects: Int {
        var active = 0
        kmalloc.value.forEachCache { cache in active += cache.statistics.activeObjects }
        return active - kmalloc.value.quarantineFigures.objects
    }

    private func checkCounts() throws {
        // A cache has a description and its magazines, a pool its state and a list.
        let distinct = Set(caches.map(\.reference.identifier)).count
        var inSlabs = 2 * distinct + 2 * pools.count
        var largeBlocks = 0
        var pageFrames = UInt(taken.count)
        func count(_ owner: LiveObject.Owner, _ isBlock: Bool, _ number: Int) {
            switch owner {
            case .pages(let order): pageFrames += UInt(number) << UInt(order)
            case .kmalloc where isBlock: largeBlocks += number
            case .kmalloc, .cache: inSlabs += number
            }
        }
        for object in objects { count(object.owner, object.isBlock, 1) }
        for pool in pools { count(pool.owner, pool.size > 8192, pool.elements.count + pool.pool.reserved) }
        let active = activeObjects
        try require(active == inSlabs, "\(active) objects are in use, not \(inSlabs)")
        let blocks = kmalloc.value.largeBlockCount
        try require(blocks == largeBlocks, "\(blocks) large blocks are in use, not \(largeBlocks)")
        let all = kmalloc.value.frameFigures.total + pageFrames + frames.value.freeFrames
        try require(all == frameCount, "\(all) frames are accounted for, not \(frameCount)")
    }

    mutating func giveEverythingBack(_ before: UInt) throws {
        frames.value.failAllocation(nth: 0)
        endPools()
        while !objects.isEmpty { try free(at: objects.count - 1) }
        while let cache = caches.popLast() {
            let isGone = kmalloc.value.destroyCache(cache.reference)
            try require(isGone, "a cache without objects stays")
        }
        giveFrames(255)
        kmalloc.value.shrink()
        frames.value.drainFrameCaches()
        try expectReports([], "the last frees")
        try check()
        let free = frames.value.freeFrames
        try require(free == before, "\(free) frames are free, not \(before) as before the first call")
    }

    /// What tells, after a call, whether something has failed on purpose.
    struct Marks {
        let injectedFailures: UInt
        let requestsUntilFailure: UInt
    }

    func marks() -> Marks {
        Marks(
            injectedFailures: kmalloc.value.injectedFailures, requestsUntilFailure: frames.value.requestsUntilFailure)
    }

    /// A call for memory has been refused: that was on purpose, or there must be none.
    /// - Parameter count: how many such pieces were asked for together.
    func requireRefusal(_ size: UInt, _ flags: AllocationFlags, since marks: Marks, count: Int = 1) throws {
        let requests = frames.value.requestsUntilFailure
        if size > Allocator.largestByteCount || kmalloc.value.injectedFailures != marks.injectedFailures { return }
        if marks.requestsUntilFailure > 0, requests == 0 { return }
        if keepsReserve || count > 1 { return }
        let order = size > 8192 ? UInt.bitWidth - ((size - 1) >> UInt(PageSize.shift)).leadingZeroBitCount : 3
        var wanted = flags.subtracting(.zero | .movable | .reclaimable | .highMemory)
        if size <= 8192, wanted.contains(.dma32) { wanted = wanted.subtracting(.dma32) | .dma }
        // A slab and a page for its header; these requests do not count.
        frames.value.failAllocation(nth: 0)
        defer { frames.value.failAllocation(nth: requests) }
        guard let block = frames.value.allocate(order: order, flags: wanted) else { return }
        defer { frames.value.free(block, order: order) }
        guard let page = frames.value.allocate(order: 0, flags: wanted) else { return }
        frames.value.free(page, order: 0)
        throw Finding("\(size) bytes are refused with memory free")
    }
}
