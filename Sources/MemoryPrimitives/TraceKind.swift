/// What a traced event is about. Raw values count up from 0 without a gap.
public enum TraceKind: UInt8, Sendable {
    case kmalloc
    case kfree
    case cacheAllocation
    case cacheFree
    case pageAllocation
    case pageFree
    case vmalloc
    case vfree
    case map
    case unmap
    case pageFault

    /// The number of kinds.
    @inline(__always) public static var count: Int { 11 }

    /// The event's name, as `trace=` and the text of a trace have it.
    public var name: StaticString {
        switch self {
        case .kmalloc: "kmalloc"
        case .kfree: "kfree"
        case .cacheAllocation: "kmem_cache_alloc"
        case .cacheFree: "kmem_cache_free"
        case .pageAllocation: "mm_page_alloc"
        case .pageFree: "mm_page_free"
        case .vmalloc: "vmalloc"
        case .vfree: "vfree"
        case .map: "map"
        case .unmap: "unmap"
        case .pageFault: "page_fault"
        }
    }
}

/// Which kinds of events are traced.
public struct TraceSelection: FlagSet, Sendable {
    public var rawValue: UInt32

    @inline(__always)
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// One kind.
    @inline(__always)
    public init(_ kind: TraceKind) { rawValue = 1 &<< UInt32(kind.rawValue) }

    /// All kinds.
    @inline(__always) public static var all: TraceSelection {
        TraceSelection(rawValue: 1 &<< UInt32(TraceKind.count) &- 1)
    }

    /// The kinds that the slab allocator tells of.
    @inline(__always) public static var objects: TraceSelection { TraceSelection(rawValue: 0xf) }

    /// The kinds that the page frames tell of.
    @inline(__always) public static var frames: TraceSelection { TraceSelection(rawValue: 0x30) }

    @inline(__always)
    public func contains(_ kind: TraceKind) -> Bool { rawValue &>> UInt32(kind.rawValue) & 1 != 0 }
}
