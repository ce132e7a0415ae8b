/// Who owns a range of reserved memory. Kept for the kernel's life, so that a report can say who holds what.
public enum RegionOwner: UInt8, CaseIterable, Sendable {
    /// Nobody: the owner of the ranges in the list of memory.
    case none
    /// Firmware tables and areas.
    case firmware
    /// The first MiB, or the part of it that real mode and the firmware use.
    case lowMemory
    /// The kernel's text, data and boot tables.
    case kernelImage
    /// What the boot loader left for the kernel to read.
    case multiboot
    /// A file that the boot loader loaded beside the kernel.
    case module
    /// The boot allocator's own arrays.
    case regionLists
    /// Page tables.
    case pageTables
    /// The descriptors of page frames.
    case frameTable
    /// What zones and frame caches keep their state in.
    case zones
    /// Data of which each CPU has a copy.
    case perCPU
    /// The composition root's allocators.
    case kernelRoot
    /// The text that the boot loader passes.
    case commandLine
    /// Memory that failed a test.
    case badMemory
    /// Whoever has no name of its own here.
    case other

    /// The owner in words, for reports.
    public var name: StaticString {
        switch self {
        case .none: "none"
        case .firmware: "firmware"
        case .lowMemory: "low memory"
        case .kernelImage: "kernel image"
        case .multiboot: "multiboot information"
        case .module: "module"
        case .regionLists: "region lists"
        case .pageTables: "page tables"
        case .frameTable: "frame table"
        case .zones: "zones"
        case .perCPU: "per-CPU data"
        case .kernelRoot: "kernel root"
        case .commandLine: "command line"
        case .badMemory: "bad memory"
        case .other: "other"
        }
    }
}
