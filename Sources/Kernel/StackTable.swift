import KernelMemory
import MemoryPrimitives
import VirtualMemory
import X86

/// The report `stacks`: a line for each stack there is, in the order of addresses, those of vmalloc first.
///
/// All figures are bytes. `used` is how deep the stack is now, where that is known: of the stack that the report is written
/// on, and of those in the image that nobody is on.
enum StackTable {
    static func write(_ memory: Permanent<KernelMemory<X86Platform>>, to writer: inout SerialReportWriter) {
        ImageStack.checkCanaries("by the report of stacks")
        writer.write("name             limit              top                   size  mapped    used deepest")
        writer.endLine()
        let stackPointer = x86_stack_pointer()
        memory.value.stacks.value.forEachStack { row in write(row, stackPointer, isInImage: false, to: &writer) }
        ImageStack.forEach { stack in
            let usable = stack.bounds.usable
            let row = StackRow(
                name: stack.name, usable: usable, mapped: usable.byteCount, deepest: stack.deepest)
            write(row, stackPointer, isInImage: true, to: &writer)
            return true
        }
        write(memory.value.stacks.value.figures, to: &writer)
    }

    @inline(never)
    private static func write(
        _ row: StackRow, _ stackPointer: UInt, isInImage: Bool, to writer: inout SerialReportWriter
    ) {
        writer.write(row.name)
        for _ in row.name.utf8CodeUnitCount..<17 { writer.write(UInt8(ascii: " ")) }
        writer.write("0x")
        writer.write(hex: row.usable.start.rawValue, digits: 16)
        writer.write(" 0x")
        writer.write(hex: row.usable.end.rawValue, digits: 16)
        writer.write(decimal: row.usable.byteCount, width: 7)
        writer.write(decimal: row.mapped, width: 8)
        if row.usable.contains(VirtualAddress(stackPointer)) {
            writer.write(decimal: row.usable.end.rawValue - stackPointer, width: 8)
        } else if isInImage {
            writer.write(decimal: 0, width: 8)
        } else {
            writer.write("-" as StaticString, width: 8)
        }
        writer.write(decimal: row.deepest, width: 8)
        writer.endLine()
    }

    @inline(never)
    private static func write(_ figures: StackFigures, to writer: inout SerialReportWriter) {
        writer.write("grown by ")
        writer.write(decimal: figures.growths)
        writer.write(" pages; reserve ")
        writer.write(decimal: UInt(figures.reserveFrames - figures.missingReserveFrames))
        writer.write(" of ")
        writer.write(decimal: UInt(figures.reserveFrames))
        writer.write(" frames; ready ")
        writer.write(decimal: figures.ready)
        writer.write("; deepest of those freed ")
        writer.write(decimal: figures.deepestFreed)
        writer.endLine()
    }
}
