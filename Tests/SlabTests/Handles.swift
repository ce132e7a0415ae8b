import MemoryPrimitives
import PageFrames

@testable import Slab

// What cannot be copied cannot stand in `#expect`; these can, and pass every call on.

struct KmallocHandle {
    let target: Permanent<Allocator>
    typealias Pointer = UnsafeMutableRawPointer

    func allocate(_ byteCount: UInt, flags: AllocationFlags = .kernel) -> Pointer? {
        target.value.allocate(byteCount, flags: flags)
    }
    func alignedAllocate(_ byteCount: UInt, alignment: UInt, flags: AllocationFlags = .kernel) -> Pointer? {
        target.value.alignedAllocate(byteCount, alignment: alignment, flags: flags)
    }
    func reallocate(_ pointer: Pointer?, _ byteCount: UInt, flags: AllocationFlags = .kernel) -> Pointer? {
        target.value.reallocate(pointer, byteCount, flags: flags)
    }
    func free(_ pointer: Pointer?) { target.value.free(pointer) }
    func size(of pointer: UnsafeRawPointer?) -> UInt { target.value.size(of: pointer) }
    func slab(of address: UInt) -> SlabPage? { target.value.slab(of: address) }
    func shrink() { target.value.shrink() }
    func checkInvariants() throws { try target.value.checkInvariants() }
    /// The figures of all caches.
    var statistics: [SlabCacheStatistics] {
        var all: [SlabCacheStatistics] = []
        target.value.forEachCache { cache in all.append(cache.statistics) }
        return all
    }
    /// The figures of the cache with that name.
    func statistics(of name: StaticString) -> SlabCacheStatistics {
        statistics.first { $0.name.isEqual(to: name) }!
    }
    var headerFigures: (pages: UInt, headers: UInt) { target.value.headerFigures }
    var largeBlockCount: Int { target.value.largeBlockCount }
    var largeBlockFrames: Int { target.value.largeBlockFrames }

    func kmalloc(_ size: UInt, _ flags: AllocationFlags) -> Pointer? { target.value.kmalloc(size, flags) }
    func kzalloc(_ size: UInt, _ flags: AllocationFlags) -> Pointer? { target.value.kzalloc(size, flags) }
    func kcalloc(_ n: UInt, _ size: UInt, _ flags: AllocationFlags) -> Pointer? {
        target.value.kcalloc(n, size, flags)
    }
    func kmalloc_array(_ n: UInt, _ size: UInt, _ flags: AllocationFlags) -> Pointer? {
        target.value.kmalloc_array(n, size, flags)
    }
    func krealloc(_ pointer: Pointer?, _ size: UInt, _ flags: AllocationFlags) -> Pointer? {
        target.value.krealloc(pointer, size, flags)
    }
    func kfree(_ pointer: Pointer?) { target.value.kfree(pointer) }
    func ksize(_ pointer: UnsafeRawPointer?) -> UInt { target.value.ksize(pointer) }
}

struct FramesHandle {
    let target: Permanent<Frames>

    func allocate(order: Int, flags: AllocationFlags = .kernel) -> PageFrameNumber? {
        target.value.allocate(order: order, flags: flags)
    }
    func free(_ frame: PageFrameNumber, order: Int) { target.value.free(frame, order: order) }
    func claim(_ frame: PageFrameNumber, order: Int, as state: FrameState, owner: UInt) {
        target.value.claim(frame, order: order, as: state, owner: owner)
    }
    func checkInvariants() throws { try target.value.checkInvariants() }
    var freeFrames: UInt { target.value.freeFrames }
}
