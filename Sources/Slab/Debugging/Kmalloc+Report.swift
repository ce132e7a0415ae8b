import MemoryPrimitives
import PageFrames

// What is written about a violation: the content and shape of SLUB's reports.
extension Kmalloc {
    /// Writes what is known of the slab and the object that a violation is about, up to where Linux has the call trace.
    ///
    /// Takes no lock, so that it may be called from within `Platform.report(_:)`: what is damaged is not yet made good.
    /// - Returns: false, with nothing written, where the violation is not about a slab's memory.
    /// - Complexity: O(bytes of the object).
    @discardableResult
    public func writeReport(on violation: MemoryViolation, to writer: inout some ReportWriter) -> Bool {
        guard let slab = slab(of: violation.origin) else { return false }
        let cache = slab.cache(on: P.self)
        SlabReport.writeHeading(violation, slab, cache.value, &writer)
        if violation.kind == .objectInUse {
            SlabReport.writeSlab(slab, cache.value, &writer)
            return true
        }
        if violation.byteCount > 0 { SlabReport.writeBytes(violation, slab, cache.value, &writer) }
        let object = slab.index(of: violation.origin).map {
            slab.address(of: $0, slotSize: cache.value.layout.slotSize)
        }
        if let object, violation.kind != .corruption {
            cache.value.writeTracks(of: object, to: &writer)
            SlabReport.writeSlab(slab, cache.value, &writer)
            cache.value.writeObject(object, in: slab, to: &writer)
        } else {
            SlabReport.writeSlab(slab, cache.value, &writer)
        }
        return true
    }

    /// Writes what stands in Linux behind the call trace: what is done about the violation where it is not the end, and
    /// the objects that remain in a cache. - Complexity: O(objects of a slab).
    public func writeRemedy(for violation: MemoryViolation, to writer: inout some ReportWriter) {
        guard let slab = slab(of: violation.origin) else { return }
        let cache = slab.cache(on: P.self)
        if violation.kind == .objectInUse { return SlabReport.writeRemaining(slab, cache.value, &writer) }
        SlabReport.writeFix(violation, cache.value, &writer)
    }

    /// Writes Linux's line on a call on a cache with `T`, and the contents of what is freed.
    public func write(_ traced: TracedObject, to writer: inout some ReportWriter) {
        let cache = CacheList<P>.cache(at: traced.cache)
        writer.write("TRACE ")
        writer.write(cache.value.name)
        writer.write(traced.isAllocation ? " alloc 0x" : " free 0x")
        writer.write(hex: traced.object, digits: 16)
        writer.write(" inuse=")
        writer.write(decimal: UInt(bitPattern: traced.used))
        writer.endLine()
        if !traced.isAllocation { writer.dump("Object   ", traced.object, cache.value.objectSize) }
    }
}
