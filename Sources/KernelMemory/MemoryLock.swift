import MemoryPrimitives
import PageFrames
import Paging
import Slab
import VirtualMemory

/// The locks of memory management, in the order in which they are taken: for tests of what can happen while one is held.
///
/// Raw values count up from 0 without a gap.
public enum MemoryLock: UInt8, Sendable {
    case fault
    case ranges
    case pageTables
    case cache
    case frameCache
    case zone

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
    /// - Parameter address: whose fault lock it is to be.
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
