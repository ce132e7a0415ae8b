import MemoryPrimitives

/// How an allocation may go about finding memory and where that memory must lie: Linux's GFP flags.
///
/// The bits are those of Linux 6.1, so that a mask in a report means the same in both. Single modifiers come first, as
/// Linux's `__GFP_...`; then the combinations that callers pass, as Linux's `GFP_...`. Linux's own spellings are in
/// `AllocationFlags+LinuxNames.swift`. All of them fold to constants.
public struct AllocationFlags: FlagSet, Sendable {
    /// The bits, which are Linux 6.1's.
    public var rawValue: UInt32

    /// The flags of these bits.
    @inline(__always)
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    // MARK: Where the memory must lie

    /// Below 16 MiB, for devices of the ISA bus.
    @inline(__always) public static var dma: AllocationFlags { AllocationFlags(rawValue: 0x01) }
    /// Memory that a 32-bit kernel cannot address directly will do. With 64 bits there is none: accepted, and equal to
    /// asking for the normal zone.
    @inline(__always) public static var highMemory: AllocationFlags { AllocationFlags(rawValue: 0x02) }
    /// Below 4 GiB, for devices that drive 32 address lines.
    @inline(__always) public static var dma32: AllocationFlags { AllocationFlags(rawValue: 0x04) }
    /// Only from the node that was asked for. There is one node: accepted.
    @inline(__always) public static var thisNode: AllocationFlags { AllocationFlags(rawValue: 0x20_0000) }

    // MARK: What the memory is for

    /// The contents can be moved to another frame. (There is no movable zone: the zone is that of the other flags.)
    @inline(__always) public static var movable: AllocationFlags { AllocationFlags(rawValue: 0x08) }
    /// The contents can be given up by a shrinker.
    @inline(__always) public static var reclaimable: AllocationFlags { AllocationFlags(rawValue: 0x10) }
    /// Every byte of the memory is 0.
    @inline(__always) public static var zero: AllocationFlags { AllocationFlags(rawValue: 0x100) }
    /// The caller will write to the page of a file. Accepted.
    @inline(__always) public static var write: AllocationFlags { AllocationFlags(rawValue: 0x1000) }
    /// The block is one unit that is known by its first frame.
    @inline(__always) public static var compound: AllocationFlags { AllocationFlags(rawValue: 0x4_0000) }
    /// Only from where the process is allowed to run.
    @inline(__always) public static var hardWall: AllocationFlags { AllocationFlags(rawValue: 0x10_0000) }
    /// Charged to the process that asked.
    @inline(__always) public static var account: AllocationFlags { AllocationFlags(rawValue: 0x40_0000) }
    /// The contents need not be in the CPU's cache, as where a device writes first. Linux has dropped this flag; its
    /// bit is one that Linux 6.1 does not use.
    @inline(__always) public static var cold: AllocationFlags { AllocationFlags(rawValue: 0x1000_0000) }

    /// The memory is an allocator's own: it is not one that the leak detector looks for, or looks into. As of `cold`, the
    /// bit is one that Linux 6.1 does not use.
    @inline(__always) public static var noLeakTrace: AllocationFlags { AllocationFlags(rawValue: 0x2000_0000) }

    // MARK: How far the search may go

    /// Important to the system: may take half of the reserve below the min watermark.
    @inline(__always) public static var high: AllocationFlags { AllocationFlags(rawValue: 0x20) }
    /// May start input and output.
    @inline(__always) public static var io: AllocationFlags { AllocationFlags(rawValue: 0x40) }
    /// May call into file systems.
    @inline(__always) public static var fs: AllocationFlags { AllocationFlags(rawValue: 0x80) }
    /// Cannot wait and does not do well without: may take a quarter more of the reserve (Linux's `__GFP_ATOMIC`).
    @inline(__always) public static var tryHarder: AllocationFlags { AllocationFlags(rawValue: 0x200) }
    /// May reclaim memory itself, and so may sleep.
    @inline(__always) public static var directReclaim: AllocationFlags { AllocationFlags(rawValue: 0x400) }
    /// May wake the background reclaimer.
    @inline(__always) public static var wakeReclaimer: AllocationFlags { AllocationFlags(rawValue: 0x800) }
    /// May use all reserves: the caller is about to free more than it takes.
    @inline(__always) public static var memoryReserves: AllocationFlags { AllocationFlags(rawValue: 0x2_0000) }
    /// Must not use all reserves, even where `memoryReserves` is set, too.
    @inline(__always) public static var noMemoryReserves: AllocationFlags { AllocationFlags(rawValue: 0x8_0000) }

    // MARK: What to do on failure

    /// Fails without a line in the log.
    @inline(__always) public static var noWarn: AllocationFlags { AllocationFlags(rawValue: 0x2000) }
    /// Tries as long as there is progress, then fails.
    @inline(__always) public static var retryMayFail: AllocationFlags { AllocationFlags(rawValue: 0x4000) }
    /// The caller cannot deal with failure.
    @inline(__always) public static var noFail: AllocationFlags { AllocationFlags(rawValue: 0x8000) }
    /// Tries once and gives up early.
    @inline(__always) public static var noRetry: AllocationFlags { AllocationFlags(rawValue: 0x1_0000) }

    // MARK: Combinations

    /// Both kinds of reclaim.
    @inline(__always) public static var reclaim: AllocationFlags { .directReclaim | .wakeReclaimer }
    /// For the kernel's own use, in a context that may sleep.
    @inline(__always) public static var kernel: AllocationFlags { .reclaim | .io | .fs }
    /// From a context that must not sleep, such as an interrupt handler.
    @inline(__always) public static var atomic: AllocationFlags { .high | .tryHarder | .wakeReclaimer }
    /// Must not sleep, and is not important enough for the reserves.
    @inline(__always) public static var noWait: AllocationFlags { .wakeReclaimer }
    /// As `kernel`, from within the block layer: starts no input or output.
    @inline(__always) public static var noIO: AllocationFlags { .reclaim }
    /// As `kernel`, from within a file system: does not call file systems.
    @inline(__always) public static var noFS: AllocationFlags { .reclaim | .io }
    /// For a process, directly reachable by the kernel.
    @inline(__always) public static var user: AllocationFlags { .reclaim | .io | .fs | .hardWall }
    /// For a process, directly reachable by the kernel, where the contents can be moved.
    @inline(__always) public static var userMovable: AllocationFlags { .user | .movable }
    /// For a process; the kernel need not reach it directly, which with 64 bits it always does.
    @inline(__always) public static var highUser: AllocationFlags { .user | .highMemory }
    /// As `highUser`, where the contents can be moved.
    @inline(__always) public static var highUserMovable: AllocationFlags { .highUser | .movable }

    // MARK: What follows from the flags

    /// The zone with the highest addresses that may serve the allocation; those below it may, too. With both `dma` and
    /// `dma32`, the lower one.
    @inline(__always)
    public var highestZone: ZoneKind { contains(.dma) ? .dma : contains(.dma32) ? .dma32 : .normal }

    /// The group of page blocks that the allocation comes from. `movable` and `reclaimable` at once contradict each
    /// other and count as neither.
    @inline(__always)
    public var mobility: Mobility {
        switch rawValue & (Self.movable.rawValue | Self.reclaimable.rawValue) {
        case Self.movable.rawValue: .movable
        case Self.reclaimable.rawValue: .reclaimable
        default: .unmovable
        }
    }

    /// True where the caller may be made to wait, and so must be in a context that may.
    @inline(__always)
    public var mayWait: Bool { contains(.directReclaim) }

    /// True where the allocation ignores the watermarks.
    @inline(__always)
    public var ignoresWatermarks: Bool { contains(.memoryReserves) && !contains(.noMemoryReserves) }
}
