import MemoryPrimitives

/// The ranges of physical memory that some devices cannot look beyond.
public enum ZoneKind: Int, Sendable {
    /// Below 16 MiB.
    case dma = 0
    /// From 16 MiB, below 4 GiB.
    case dma32 = 1
    /// From 4 GiB.
    case normal = 2

    /// The number of zones.
    @inline(__always)
    static var count: Int { 3 }

    /// Calls `body` with each zone, the lowest first. (`CaseIterable` would make an array.)
    @inline(__always)
    public static func forEach(_ body: (ZoneKind) -> Void) {
        body(.dma)
        body(.dma32)
        body(.normal)
    }

    /// The zone that `frame` belongs to, be it managed or not.
    @inline(__always)
    init(of frame: PageFrameNumber) {
        self = frame.rawValue < Self.dmaEnd ? .dma : frame.rawValue < Self.dma32End ? .dma32 : .normal
    }

    /// The zone that `frame` belongs to, be it managed or not.
    public static func kind(of frame: PageFrameNumber) -> ZoneKind { ZoneKind(of: frame) }

    /// The name under which Linux's users know the zone.
    public var name: StaticString {
        switch self {
        case .dma: "DMA"
        case .dma32: "DMA32"
        case .normal: "Normal"
        }
    }

    /// The first frame that the zone may have. Zones begin and end on section boundaries.
    public var firstFrame: PageFrameNumber {
        switch self {
        case .dma: PageFrameNumber(0)
        case .dma32: PageFrameNumber(Self.dmaEnd)
        case .normal: PageFrameNumber(Self.dma32End)
        }
    }

    /// The first frame beyond the zone: 16 MiB, 4 GiB, and where frame numbers no longer fit a descriptor's links.
    public var endFrame: PageFrameNumber {
        switch self {
        case .dma: PageFrameNumber(Self.dmaEnd)
        case .dma32: PageFrameNumber(Self.dma32End)
        case .normal: PageFrameNumber(Self.managedEnd)
        }
    }

    @inline(__always)
    private static var dmaEnd: UInt { (16 << 20) >> PageSize.shift }

    @inline(__always)
    private static var dma32End: UInt { (4 << 30) >> PageSize.shift }

    /// Frame numbers are 32 bits in the free lists and the last section's place is taken by "none".
    private static var managedEnd: UInt { 1 << 32 - Section.frameCount }
}
