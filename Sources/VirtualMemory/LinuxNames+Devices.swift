import MemoryPrimitives
import PageFrames
import Paging

/// How `memremap` maps: Linux's `MEMREMAP_` flags. Of several that are given the first in this order counts;
/// where that cannot be, the others are not tried.
public struct MemremapFlags: FlagSet, Sendable {
    /// The flags as bits.
    public var rawValue: UInt32

    /// The flags of these bits.
    @inline(__always)
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Cached, as RAM is; RAM itself is not mapped again: the direct map shows it.
    public static var writeBack: MemremapFlags { MemremapFlags(rawValue: 1 << 0) }
    /// Writes go to memory at once. Not of RAM.
    public static var writeThrough: MemremapFlags { MemremapFlags(rawValue: 1 << 1) }
    /// Not cached, writes may be put together. Not of RAM.
    public static var writeCombining: MemremapFlags { MemremapFlags(rawValue: 1 << 2) }
}

/// `.writeBack`.
public var MEMREMAP_WB: MemremapFlags { .writeBack }
/// `.writeThrough`.
public var MEMREMAP_WT: MemremapFlags { .writeThrough }
/// `.writeCombining`.
public var MEMREMAP_WC: MemremapFlags { .writeCombining }

/// Device mappings by the names that kernel authors look for. Any context.
///
/// What is refused gives nil, as in Linux, and is reported: RAM as a violation (`mapsMemory`), the rest as an allocation
/// that failed, with the reason.
extension Vmalloc {
    /// Registers: uncached, as Linux's is on x86 (the memory type ranges may make it write-combining).
    /// - Returns: where it is now; nil, and a report, where it cannot be.
    /// - Complexity: O(pages + log areas). Any context.
    public func ioremap(_ physical: PhysicalAddress, _ byteCount: UInt) -> VirtualAddress? {
        remap(physical, byteCount, .uncachedOverridable, "ioremap")
    }

    /// Registers: uncached, whatever the memory type ranges say.
    /// - Returns: where it is now; nil, and a report, where it cannot be.
    /// - Complexity: O(pages + log areas). Any context.
    public func ioremap_uc(_ physical: PhysicalAddress, _ byteCount: UInt) -> VirtualAddress? {
        remap(physical, byteCount, .uncached, "ioremap_uc")
    }

    /// Memory of a device that is written in order, such as a frame buffer.
    /// - Returns: where it is now; nil, and a report, where it cannot be.
    /// - Complexity: O(pages + log areas). Any context.
    public func ioremap_wc(_ physical: PhysicalAddress, _ byteCount: UInt) -> VirtualAddress? {
        remap(physical, byteCount, .writeCombining, "ioremap_wc")
    }

    /// Takes away what one of these returned; nil is a no-op. Anything else is an error, as for `vfree`.
    /// - Complexity: O(pages + log areas). Any context.
    public func iounmap(_ address: VirtualAddress?) { unmapDevice(address) }

    /// Memory that has no side effects. With `MEMREMAP_WB`, all of which is RAM: where the direct map shows it.
    /// - Returns: where it is now; nil, and a report, where it cannot be.
    /// - Complexity: O(pages + log areas). Any context.
    public func memremap(
        _ physical: PhysicalAddress, _ byteCount: UInt, _ flags: MemremapFlags
    ) -> VirtualAddress? {
        if flags.contains(.writeBack), let address = directlyMapped(physical, byteCount: byteCount) { return address }
        if flags.contains(.writeBack) { return remap(physical, byteCount, .writeBack, "memremap") }
        if flags.contains(.writeThrough) { return remap(physical, byteCount, .writeThrough, "memremap") }
        if flags.contains(.writeCombining) { return remap(physical, byteCount, .writeCombining, "memremap") }
        return nil
    }

    /// Takes away what `memremap` returned; what the direct map shows stays.
    /// - Complexity: O(pages + log areas). Any context.
    public func memunmap(_ address: VirtualAddress?) {
        guard let address else { return }
        if directMap?.contains(address) == true { return }
        unmapDevice(address)
    }

    private func remap(
        _ physical: PhysicalAddress, _ byteCount: UInt, _ mode: CacheMode, _ call: StaticString
    ) -> VirtualAddress? {
        do throws(DeviceMappingError) {
            return try mapDevice(physical, byteCount: byteCount, cacheMode: mode, name: call)
        } catch {
            switch error {
            case .isMemory:
                P.report(
                    MemoryViolation(.mapsMemory, in: call, at: physical.rawValue, error.reason, byteCount))
            case .outOfMemory: break  // What was lacking has been reported.
            default:
                P.report(FailedAllocation(mapping: physical.rawValue, byteCount: byteCount, reason: error.reason))
            }
            return nil
        }
    }
}
