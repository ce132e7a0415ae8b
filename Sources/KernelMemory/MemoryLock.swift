import MemoryPrimitives
import PageFrames
import Paging
import Slab
import VirtualMemory

/// The locks of memory management, in the order in which they are taken: for tests of what can happen while one is held.
///
/// Raw values count up from 0 without a gap.
public enum MemoryLock: UInt8, Sendable {
    /// One of the locks under which pages are mapped at their first touch.
    case fault
    /// That of the ranges of addresses.
    case ranges
    /// That of the page tables.
    case pageTables
    /// That of a slab cache.
    case cache
    /// That of this CPU's frame cache.
    case frameCache
    /// That of a zone.
    case zone

    /// The lock's name, as `crash=stack-overflow-LOCK-lock` spells it.
    public var name: StaticString {
        switch self {
        case .fault: "fault"
        case .ranges: "ranges"
        case .pageTables: "tables"
        case .cache: "cache"
        case .frameCache: "frame-cache"
        case .zone: "zone"
        }
    }
}

extension KernelMemory {
    /// Runs `body` with a lock of memory management held, as an allocator's own code does. It must not call an allocator.
    /// - Parameters:
    ///   - lock: which one; of the caches that of kmalloc-64, of the zones that of DMA32.
    ///   - address: whose fault lock it is to be.
    ///   - body: what is done meanwhile.
    @inline(__always)
    public func withHeld(_ lock: MemoryLock, for address: VirtualAddress, _ body: () -> Void) {
        switch lock {
        case .fault: vmalloc.value.withFaultLocked(for: address, body)
        case .ranges: vmalloc.value.withRangesLocked(body)
        case .pageTables: pageTables.value.withLocked(body)
        case .cache: kmalloc.value.withCacheLocked(serving: 64, body)
        case .frameCache: frames.value.withFrameCacheLocked(body)
        case .zone: frames.value.withZoneLocked(.dma32, body)
        }
    }
}
