import MemoryPrimitives

/// The lines of a report about a slab.
enum SlabReport {
    @inline(never)
    static func writeHeading<P: Platform>(
        _ violation: MemoryViolation, _ slab: SlabPage, _ cache: borrowing SlabCache<P>,
        _ writer: inout some ReportWriter
    ) {
        for _ in 0..<77 { writer.write(UInt8(ascii: "=")) }
        writer.endLine()
        writer.write("BUG ")
        writer.write(cache.name)
        writer.write(": ")
        writeMessage(violation, slab, cache, &writer)
        writer.endLine()
        for _ in 0..<77 { writer.write(UInt8(ascii: "-")) }
        writer.endLine()
        writer.endLine()
    }

    @inline(never)
    private static func writeMessage<P: Platform>(
        _ violation: MemoryViolation, _ slab: SlabPage, _ cache: borrowing SlabCache<P>,
        _ writer: inout some ReportWriter
    ) {
        if violation.byteCount > 0 {
            writer.write(violation.detail)
            return writer.write(" overwritten")
        }
        switch violation.kind {
        case .doubleFree: writer.write("Object already free")
        case .wildFree, .misalignedFree: writer.write("Invalid object pointer 0x", hex: violation.address)
        case .wrongCache:
            // The violation does not say which cache was named: an address in it would not be one to follow here.
            writer.write("Wrong slab cache. Object is from ")
            writer.write(cache.name)
        case .objectInUse:
            writer.write("Objects remaining in ")
            writer.write(cache.name)
            writer.write(" on __kmem_cache_shutdown()")
        case .corruption where violation.address == slab.base:
            // Linux counts the objects in use.
            writer.write("Wrong object count. Counter is ")
            writer.write(decimal: UInt(bitPattern: slab.objectCount - slab.freeCount))
            writer.write(" but counted were ")
            writer.write(decimal: UInt(bitPattern: slab.objectCount - slab.countFree()))
        default: writer.write(violation.detail)
        }
    }

    /// Which bytes are wrong, and how.
    static func writeBytes<P: Platform>(
        _ violation: MemoryViolation, _ slab: SlabPage, _ cache: borrowing SlabCache<P>,
        _ writer: inout some ReportWriter
    ) {
        writeRange(violation, &writer)
        writer.write(" @offset=")
        writer.write(decimal: violation.address &- slab.base &+ cache.layout.objectOffset)
        writer.write(". First byte 0x")
        writer.write(hex: violation.value)
        writer.write(" instead of 0x")
        writer.write(hex: UInt(violation.expectedByte))
        writer.endLine()
    }

    private static func writeRange(_ violation: MemoryViolation, _ writer: inout some ReportWriter) {
        writer.write("0x", hex: violation.address)
        writer.write("-0x", hex: violation.address &+ violation.byteCount &- 1)
    }

    static func writeSlab<P: Platform>(
        _ slab: SlabPage, _ cache: borrowing SlabCache<P>, _ writer: inout some ReportWriter
    ) {
        writer.write("Slab 0x", hex: slab.base &- cache.layout.objectOffset)
        writer.write(" objects=")
        writer.write(decimal: UInt(bitPattern: slab.objectCount))
        writer.write(" used=")
        writer.write(decimal: UInt(bitPattern: max(0, slab.objectCount - slab.freeCount)))
        writer.write(" order=")
        writer.write(decimal: UInt(bitPattern: cache.layout.order))
        writer.endLine()
    }

    /// What is done where the violation is not the end.
    @inline(never)
    static func writeFix<P: Platform>(
        _ violation: MemoryViolation, _ cache: borrowing SlabCache<P>, _ writer: inout some ReportWriter
    ) {
        writer.write("FIX ")
        writer.write(cache.name)
        if violation.byteCount > 0 {
            writer.write(": Restoring ")
            writer.write(violation.detail)
            writer.write(" ")
            writeRange(violation, &writer)
            writer.write("=0x")
            writer.write(hex: UInt(violation.expectedByte))
        } else if violation.kind == .corruption {
            writer.write(": Object count adjusted")
        } else {
            writer.write(": Object at 0x", hex: violation.address)
            writer.write(" not freed")
        }
        writer.endLine()
    }

    /// The objects of a slab that are in use, and who allocated them.
    static func writeRemaining<P: Platform>(
        _ slab: SlabPage, _ cache: borrowing SlabCache<P>, _ writer: inout some ReportWriter
    ) {
        for index in 0..<slab.objectCount where slab.state(index) == .allocated {
            let object = slab.address(of: index, slotSize: cache.layout.slotSize)
            cache.writeObjectLine(object, in: slab, to: &writer)
            cache.writeTracks(of: object, to: &writer)
        }
    }
}

extension ReportWriter {
    /// Writes an address behind its `0x`.
    mutating func write(_ before: StaticString, hex address: UInt) {
        write(before)
        write(hex: address, digits: 16)
    }
}
