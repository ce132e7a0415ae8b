import MemoryPrimitives

/// How an allocation may go about finding memory and where that memory must lie: Linux's GFP flags.
///
/// The first group are single modifiers, as Linux's `__GFP_...`; the second group are the combinations that callers
/// pass, as Linux's `GFP_...`.
public struct AllocationFlags: FlagSet, Sendable {
    public var rawValue: UInt32

    @inline(__always)
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    @inline(__always)
    private init(bit: UInt32) { rawValue = 1 << bit }

    // MARK: Where the memory must lie

    /// Below 16 MiB, for devices of the ISA bus.
    @inline(__always) public static var dma: AllocationFlags { AllocationFlags(bit: 0) }
    /// Below 4 GiB, for devices that drive 32 address lines.
    @inline(__always) public static var dma32: AllocationFlags { AllocationFlags(bit: 1) }

    // MARK: What the memory is for

    /// The contents can be moved to another frame.
    @inline(__always) public static var movable: AllocationFlags { AllocationFlags(bit: 2) }
    /// The contents can be given up by a shrinker.
    @inline(__always) public static var reclaimable: AllocationFlags { AllocationFlags(bit: 3) }
    /// Charged to the process that asked.
    @inline(__always) public static var account: AllocationFlags { AllocationFlags(bit: 4) }
    /// Only from where the process is allowed to run.
    @inline(__always) public static var hardWall: AllocationFlags { AllocationFlags(bit: 5) }
    /// The block is one unit that is known by its first frame.
    @inline(__always) public static var compound: AllocationFlags { AllocationFlags(bit: 6) }
    /// Every byte of the memory is 0.
    @inline(__always) public static var zero: AllocationFlags { AllocationFlags(bit: 7) }

    // MARK: How far the search may go

    /// Important to the system: may go deeper into the reserves.
    @inline(__always) public static var high: AllocationFlags { AllocationFlags(bit: 8) }
    /// May use all reserves: the caller is about to free more than it takes.
    @inline(__always) public static var memoryReserves: AllocationFlags { AllocationFlags(bit: 9) }
    /// Must not touch the reserves, whatever else is set.
    @inline(__always) public static var noMemoryReserves: AllocationFlags { AllocationFlags(bit: 10) }
    /// May start input and output.
    @inline(__always) public static var io: AllocationFlags { AllocationFlags(bit: 11) }
    /// May call into file systems.
    @inline(__always) public static var fs: AllocationFlags { AllocationFlags(bit: 12) }
    /// May reclaim memory itself, and so may sleep.
    @inline(__always) public static var directReclaim: AllocationFlags { AllocationFlags(bit: 13) }
    /// May wake the background reclaimer.
    @inline(__always) public static var wakeReclaimer: AllocationFlags { AllocationFlags(bit: 14) }

    // MARK: What to do on failure

    /// Fails without a line in the log.
    @inline(__always) public static var noWarn: AllocationFlags { AllocationFlags(bit: 15) }
    /// Tries once and gives up early.
    @inline(__always) public static var noRetry: AllocationFlags { AllocationFlags(bit: 16) }
    /// Tries as long as there is progress, then fails.
    @inline(__always) public static var retryMayFail: AllocationFlags { AllocationFlags(bit: 17) }
    /// The caller cannot deal with failure.
    @inline(__always) public static var noFail: AllocationFlags { AllocationFlags(bit: 18) }

    // MARK: Combinations

    /// Both kinds of reclaim.
    @inline(__always) public static var reclaim: AllocationFlags { .directReclaim | .wakeReclaimer }
    /// For the kernel's own use, in a context that may sleep.
    @inline(__always) public static var kernel: AllocationFlags { .reclaim | .io | .fs }
    /// From a context that must not sleep, such as an interrupt handler.
    @inline(__always) public static var atomic: AllocationFlags { .high | .wakeReclaimer }
    /// Must not sleep, and is not important enough for the reserves.
    @inline(__always) public static var noWait: AllocationFlags { .wakeReclaimer }
    /// As `kernel`, from within the block layer: starts no input or output.
    @inline(__always) public static var noIO: AllocationFlags { .reclaim }
    /// As `kernel`, from within a file system: does not call file systems.
    @inline(__always) public static var noFS: AllocationFlags { .reclaim | .io }
    /// For a process, directly reachable by the kernel.
    @inline(__always) public static var user: AllocationFlags { .reclaim | .io | .fs | .hardWall }
    /// For a process, where the contents can be moved.
    @inline(__always) public static var userMovable: AllocationFlags { .reclaim | .io | .fs | .hardWall | .movable }

    /// The zone with the highest addresses that may serve the allocation; those below it may, too.
    @inline(__always)
    var highestZone: ZoneKind { contains(.dma) ? .dma : contains(.dma32) ? .dma32 : .normal }
}
