/// What one zone looks like at one moment: all that the reports of page frames say about it. Counts are in frames unless
/// they say otherwise.
///
/// It is about 450 bytes: too large to hold several on a kernel stack. Reports ask for one zone after the other.
public struct ZoneReport: Sendable {
    /// Which zone.
    public var kind: ZoneKind

    /// Free frames, those in the CPUs' caches excepted.
    public var free: UInt = 0

    /// The zone's watermarks, its boost, and its lowmem reserve.
    public var watermarks = Watermarks()

    /// Frames in page blocks that are kept for urgent requests.
    public var reservedHighAtomic: UInt = 0

    /// Frames that exist in the zone.
    public var present: UInt = 0

    /// Frames that the allocator has been given.
    public var managed: UInt = 0

    /// Free frames in the caches of all CPUs.
    public var cached: UInt = 0

    /// Free frames in the cache of the CPU that made the report.
    public var cachedByThisCPU: UInt = 0

    /// Free frames in areas that are kept for contiguous buffers.
    public var freeContiguous: UInt = 0

    /// Free blocks: by group, then by order. (Frame numbers have 32 bits, and so have their counts.)
    public var freeBlocks = InlineArray<6, InlineArray<11, UInt32>>(repeating: InlineArray(repeating: 0))

    /// Page blocks of 2 MiB, by group.
    public var pageBlocks = InlineArray<6, UInt32>(repeating: 0)

    /// log2 of the frames of a page block, the unit that is of one group.
    public static var pageBlockOrder: Int { 9 }

    /// A report on an empty zone.
    public init(_ kind: ZoneKind) { self.kind = kind }

    /// True where the zone has memory. Reports leave the other zones out.
    public var isPopulated: Bool { present != 0 }

    /// The free blocks of an order, of all groups.
    public func freeBlockCount(order: Int) -> UInt {
        var count: UInt = 0
        for group in 0..<Mobility.count { count += UInt(freeBlocks[group][order]) }
        return count
    }
}

/// Who can say what a zone looks like: the page frame allocator, or a test.
public protocol ZoneReportSource: ~Copyable {
    /// What the zone looks like now; an empty report for a zone without memory.
    func report(of kind: ZoneKind) -> ZoneReport
}
