import KernelMemory
import MemoryPrimitives
import Slab

/// The reports that maps of memory are drawn from, and the map of text.
enum MapReports {
    /// Memory in the image to work in, so that a map takes none of what it shows. One map is written at a time.
    @safe nonisolated(unsafe) private static var bytes = InlineArray<512, UInt64>(repeating: 0)

    private static var scratch: MapScratch {
        // As many bytes as it takes, in the image for good; only who writes a map uses them.
        unsafe withUnsafeMutablePointer(to: &bytes) { pointer in unsafe MapScratch(in: UnsafeMutableRawPointer(pointer))
        }
    }

    @inline(never)
    static func write(
        _ report: Report, _ memory: Permanent<KernelMemory<X86Platform>>, to writer: inout SerialReportWriter
    ) {
        switch report {
        case .frames: memory.value.writeFrames(scratch: scratch, to: &writer)
        case .slabs: SlabMapReport.write(memory.value.kmalloc.value, to: &writer)
        case .areas: memory.value.writeAreas(to: &writer)
        default: memory.value.writeTextMap(hasColours: true, scratch: scratch, to: &writer)
        }
    }

    /// What the frame behind an address is used for: its line of the report `frames`.
    @inline(never)
    static func writeUse(
        of address: VirtualAddress, _ memory: Permanent<KernelMemory<X86Platform>>, to writer: inout SerialReportWriter
    ) {
        memory.value.writeUse(of: address, scratch: scratch, to: &writer)
    }
}
