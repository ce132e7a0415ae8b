import MemoryPrimitives
import PageFrames
import SimulatedMachine

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
    /// The cache with that name.
    func cache(_ name: StaticString) -> CacheHandle {
        var found: UInt = 0
        target.value.forEachCache { cache in if cache.name.isEqual(to: name) { found = cache.address } }
        return CacheHandle(target: CacheList<SimulatedPlatform>.cache(at: found))
    }
    func validate() -> Int { target.value.validate() }
    var errorFigures: (reports: UInt, repairs: UInt) { target.value.errorFigures }
    /// What SLUB's own tests count: lines that begin with BUG or FIX.
    var errorCount: UInt { errorFigures.reports + errorFigures.repairs }
    var quarantineFigures: (objects: Int, bytes: UInt) { target.value.quarantineFigures }
    func failAllocation(nth: UInt) { target.value.failAllocation(nth: nth) }
    var allocationsUntilFailure: UInt { target.value.allocationsUntilFailure }
    var injectedFailures: UInt { target.value.injectedFailures }
    func complain(of address: UInt, in call: StaticString) { target.value.complain(of: address, in: call) }
    /// All that is written about a violation, with what a kernel does about it where it may go on.
    func report(on violation: MemoryViolation) -> [String] {
        var text = ReportText()
        target.value.writeReport(on: violation, to: &text)
        if violation.mayContinue { target.value.writeRemedy(for: violation, to: &text) }
        return text.lines
    }
    func report(_ traced: TracedObject) -> [String] {
        var text = ReportText()
        target.value.write(traced, to: &text)
        return text.lines
    }

    var headerFigures: (pages: UInt, slots: UInt) { target.value.headerFigures }
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

struct CacheHandle {
    let target: Permanent<SlabCache<SimulatedPlatform>>

    /// An object for a user who asks for so many bytes.
    func allocate(_ requested: UInt = 0, flags: AllocationFlags = .kernel) -> UnsafeMutableRawPointer? {
        target.value.magazine(0).allocateSlow(flags, requested)
    }
    var flags: CacheFlags { target.value.flags }
    var layout: SlabLayout { target.value.layout }
    var isWatched: Bool { target.value.isWatched }
    var parts: SlotParts { target.value.parts }
    func validate() -> Int { target.value.validate() }
    func reportRemaining() -> Int { target.value.reportRemaining() }
}

/// Collects the lines of a report.
struct ReportText: ReportWriter {
    private var bytes: [UInt8] = []

    mutating func write(_ byte: UInt8) { bytes.append(byte) }

    var lines: [String] {
        String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            .dropLast()
    }
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
