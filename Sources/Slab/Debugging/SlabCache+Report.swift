import MemoryPrimitives

// What a report says of one object.
extension SlabCache {
    /// Who allocated an object, and who freed it last, where that is known.
    @inline(never)
    func writeTracks(of object: UInt, to writer: inout some ReportWriter) {
        // The slots of such a cache have both.
        if let track = unsafe track(of: object, .allocation) {
            unsafe write(track.pointee, "Allocated in ", to: &writer)
        }
        if let track = unsafe track(of: object, .free) { unsafe write(track.pointee, "Freed in ", to: &writer) }
    }

    private func write(_ track: ObjectTrack, _ heading: StaticString, to writer: inout some ReportWriter) {
        guard track.isKnown == 1 else { return }
        // Begin with the user, where it is known which functions are the allocator's own.
        var first = 0
        while first < StackTrace.capacity - 1, writer.isWithinAllocator(track.trace[first]) { first += 1 }
        writer.write(heading)
        writer.write(returnAddress: track.trace[first])
        writer.write(" age=")
        writer.write(decimal: UInt(truncatingIfNeeded: P.cycleCounter &- track.time))
        writer.write(" cpu=")
        writer.write(decimal: UInt(track.cpu))
        writer.endLine()
        writer.write(track.trace, from: first)
    }

    func writeObjectLine(_ object: UInt, in slab: SlabPage, to writer: inout some ReportWriter) {
        writer.write("Object 0x", hex: object)
        writer.write(" @offset=")
        writer.write(decimal: object &- slab.base &+ layout.objectOffset)
        writer.endLine()
    }

    /// Where an object lies, and its bytes and those around it.
    @inline(never)
    func writeObject(_ object: UInt, in slab: SlabPage, to writer: inout some ReportWriter) {
        writeObjectLine(object, in: slab, to: &writer)
        writer.endLine()
        let parts = parts
        if flags.contains(.redZone) {
            writer.dump("Redzone  ", object &- parts.objectOffset, parts.objectOffset)
        } else if object > slab.base {
            writer.dump("Bytes b4 ", object &- min(16, parts.slotSize), min(16, parts.slotSize))
        }
        writer.dump("Object   ", object, parts.objectSize)
        if flags.contains(.redZone) {
            writer.dump("Redzone  ", object &+ parts.objectSize, parts.redZoneEnd &- parts.objectSize)
        }
        if flags.rawValue & (CacheFlags.poison | .redZone | .storeUser).rawValue != 0 {
            writer.dump("Padding  ", object &+ parts.paddingOffset, parts.paddingEnd &- parts.paddingOffset)
        }
    }
}

extension ReportWriter {
    /// Writes memory as Linux's `print_hex_dump` does, 16 bytes a line with their address, at most a page of it.
    @inline(never)
    mutating func dump(_ heading: StaticString, _ start: UInt, _ byteCount: UInt) {
        let end = start &+ min(byteCount, PageSize.byteCount)
        var address = start
        while address < end {
            let count = min(16, end &- address)
            write(heading)
            write(hex: address, digits: 16)
            write(": ")
            for place in 0..<UInt(16) {
                if place < count {
                    write(hex: UInt(SlabBytes.load(address &+ place)), digits: 2)
                } else {
                    write("  ")
                }
                write(" ")
            }
            write(" ")
            for place in 0..<count {
                let byte = SlabBytes.load(address &+ place)
                write(0x20...0x7e ~= byte ? byte : UInt8(ascii: "."))
            }
            endLine()
            address &+= count
        }
    }
}
