import MemoryPrimitives
import PageFrames

/// The report `slabs`: each cache that has a slab, and each of its slabs with what every object is doing.
///
///     cache kmalloc-64 object=64 slot=64 order=0 objects=64
///     slab 0xffff888001a2c000 frame=0x1a2c used=3 states=2A14.3mA44.
///
/// The states are runs of equal ones, each a number, left out where it is 1, and a letter: `A` allocated, `.` free in the
/// slab, `m` free in a magazine or a depot, `q` in quarantine, `r` in a memory pool's reserve. `used` counts A and r.
public enum SlabMapReport {
    /// Writes each cache that has a slab, with its slabs.
    ///
    /// - Complexity: O(objects). Takes each cache's lock, with interrupts disabled: not for callers that hold one. No cache
    ///   may be destroyed meanwhile.
    @inline(never)
    public static func write<P: Platform>(_ kmalloc: borrowing Kmalloc<P>, to writer: inout some ReportWriter) {
        kmalloc.forEachCache { cache in
            cache.withState { state in
                if state.lists.slabCount > 0 { writeHeading(cache.name, cache.layout, to: &writer) }
                for list in 0..<SlabLists.count {
                    var next = state.lists.first(in: list)
                    while let slab = next {
                        write(slab, frame: cache.firstFrame(of: slab), to: &writer)
                        next = slab.next
                    }
                }
            }
        }
    }

    @inline(never)
    private static func writeHeading(_ name: CacheName, _ layout: SlabLayout, to writer: inout some ReportWriter) {
        writer.write("cache ")
        writer.write(name)
        writer.write(" object=")
        writer.write(decimal: layout.objectSize)
        writer.write(" slot=")
        writer.write(decimal: layout.slotSize)
        writer.write(" order=")
        writer.write(decimal: UInt(bitPattern: layout.order))
        writer.write(" objects=")
        writer.write(decimal: UInt(bitPattern: layout.objectCount))
        writer.endLine()
    }

    @inline(never)
    private static func write(_ slab: SlabPage, frame: PageFrameNumber, to writer: inout some ReportWriter) {
        var used: UInt = 0
        for index in 0..<slab.objectCount where slab.state(index).isInUse { used += 1 }
        writer.write("slab 0x")
        writer.write(hex: slab.base, digits: 16)
        writer.write(" frame=0x")
        writer.write(hex: frame.rawValue)
        writer.write(" used=")
        writer.write(decimal: used)
        writer.write(" states=")
        var count: UInt = 0
        for index in 0..<slab.objectCount {
            count += 1
            let letter = letter(of: index, in: slab)
            if index + 1 < slab.objectCount, self.letter(of: index + 1, in: slab) == letter { continue }
            if count > 1 { writer.write(decimal: count) }
            writer.write(letter)
            count = 0
        }
        writer.endLine()
    }

    private static func letter(of index: Int, in slab: SlabPage) -> UInt8 {
        switch slab.state(index) {
        case .allocated: UInt8(ascii: "A")
        case .waiting: UInt8(ascii: "q")
        case .reserved: UInt8(ascii: "r")
        default: UInt8(ascii: slab.isMarkedFree(index) ? "." : "m")
        }
    }
}
