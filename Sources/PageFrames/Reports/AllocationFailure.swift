import MemoryPrimitives

/// A request for page frames that was not met, for the report on it.
public struct AllocationFailure: Sendable {
    /// Who asked, in place of the process that Linux names.
    public var name: StaticString
    /// log2 of the number of frames that were asked for.
    public var order: Int
    /// What they were asked for with.
    public var flags: AllocationFlags
    /// The CPU that asked.
    public var cpu: Int

    /// Frames that slab caches could give back, and those that they could not.
    public var slabReclaimable: UInt = 0
    /// Frames of slabs that nobody could give back.
    public var slabUnreclaimable: UInt = 0
    /// Frames that are page tables.
    public var pageTables: UInt = 0

    /// A request of `name` on CPU `cpu` for 2^`order` frames; the counts are added by whoever has them.
    public init(name: StaticString, order: Int, flags: AllocationFlags, cpu: Int) {
        self.name = name
        self.order = order
        self.flags = flags
        self.cpu = cpu
    }

    /// Writes who asked for what: the first lines of Linux's report, where the kernel's stack trace comes next.
    public func writeHeading(to writer: inout some ReportWriter) {
        writer.write(name)
        writer.write(": page allocation failure: order:")
        // An order that does not exist is what the report may be about.
        if order < 0 { writer.write("-") }
        writer.write(decimal: order.magnitude)
        writer.write(", mode:")
        writer.write(mode: flags)
        writer.write(", nodemask=(null)")
        writer.endLine()
        writer.write("CPU: ")
        writer.write(decimal: cpu.magnitude)
        writer.endLine()
    }
}
