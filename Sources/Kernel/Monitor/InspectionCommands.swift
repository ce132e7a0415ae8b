import KernelMemory
import MemoryPrimitives
import Monitor
import VirtualMemory

/// Commands that look at one address, or at what is mapped around it.
enum InspectionCommand: UInt8, CommandGroup {
    case pagetables
    case translate
    case whatis

    var help: CommandHelp {
        switch self {
        case .pagetables:
            CommandHelp(
                name: "pagetables", summary: "what is mapped, a line for equal neighbours, as ptdump",
                arguments: "[ADDR]", example: "pagetables 0xffffffff80100000")
        case .translate:
            CommandHelp(
                name: "translate", summary: "every entry on an address' way through the page tables, decoded",
                arguments: "ADDR", example: "translate 0xffffffff80100000")
        case .whatis:
            CommandHelp(
                name: "whatis", summary: "whose an address is: frame, object, area, stack, function",
                arguments: "ADDR", example: "whatis 0xffffffff80100000")
        }
    }

    func run(_ call: CommandCall) throws(CommandError) {
        try call.expectNoMore(than: 1)
        if self == .pagetables, call[1] == nil { return Self.writeAll(call.memory) }
        let address = VirtualAddress(try call.number(1, "an address, such as 0xffffffff80100000"))
        switch self {
        case .pagetables: Self.writeAround(address, call.memory)
        case .translate: Self.translate(address, call.memory)
        case .whatis: Self.describe(address, call.memory)
        }
    }

    // A writer is made where it is used: a report's calls are then known by name.

    @inline(never)
    private static func writeAll(_ memory: Permanent<KernelMemory<X86Platform>>) {
        var writer = SerialReportWriter()
        memory.value.writePageTables(to: &writer)
    }

    @inline(never)
    private static func writeAround(_ address: VirtualAddress, _ memory: Permanent<KernelMemory<X86Platform>>) {
        var writer = SerialReportWriter()
        memory.value.writePageTables(around: address, to: &writer)
    }

    @inline(never)
    private static func translate(_ address: VirtualAddress, _ memory: Permanent<KernelMemory<X86Platform>>) {
        var writer = SerialReportWriter()
        memory.value.writeTranslation(of: address, to: &writer)
    }

    @inline(never)
    private static func describe(_ address: VirtualAddress, _ memory: Permanent<KernelMemory<X86Platform>>) {
        var writer = SerialReportWriter()
        memory.value.writeDescription(of: address, to: &writer)
        MapReports.writeUse(of: address, memory, to: &writer)
        if let stack = imageStack(around: address) { write(stack, address, to: &writer) }
    }

    /// The stack of the image in which, or in whose guard pages, an address lies; those of vmalloc are areas.
    private static func imageStack(around address: VirtualAddress) -> StackBounds? {
        var found: StackBounds?
        ImageStack.forEach { stack in
            let bounds = stack.bounds
            if bounds.holds(address) { found = bounds }
            // Neighbours share a guard page: whoever may use the address comes first.
            return !bounds.usable.contains(address)
        }
        return found
    }

    @inline(never)
    private static func write(
        _ stack: StackBounds, _ address: VirtualAddress, to writer: inout SerialReportWriter
    ) {
        writer.write("stack \"")
        writer.write(stack.name)
        if stack.usable.contains(address) {
            writer.write("\": ")
            writer.write(decimal: stack.depth(of: address))
            writer.write(" bytes below its top, of ")
            writer.write(decimal: stack.usable.byteCount)
        } else {
            writer.write(address < stack.usable.start ? "\": the guard page below it" : "\": the guard page above it")
        }
        writer.endLine()
    }
}
