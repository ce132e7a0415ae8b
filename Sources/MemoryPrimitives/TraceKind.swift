/// What a traced event is about. Raw values count up from 0 without a gap.
public enum TraceKind: UInt8, Sendable {
    /// `kmalloc` has handed out memory.
    case kmalloc
    /// Memory is given to `kfree`.
    case kfree
    /// A cache has handed out an object: `kmem_cache_alloc`.
    case cacheAllocation
    /// An object is given back to its cache: `kmem_cache_free`.
    case cacheFree
    /// A block of page frames was handed out: `mm_page_alloc`.
    case pageAllocation
    /// A block of page frames is nobody's any longer: `mm_page_free`.
    case pageFree
    /// An area was handed out.
    case vmalloc
    /// An area is given back.
    case vfree
    /// Addresses were mapped.
    case map
    /// Addresses are mapped no longer.
    case unmap
    /// A page fault is to be answered.
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
    /// A bit for each kind, by its raw value.
    public var rawValue: UInt32

    /// The kinds of these bits. - Parameter rawValue: a bit for each kind, by its raw value.
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

    /// Whether a kind is among them. - Returns: true where it is.
    @inline(__always)
    public func contains(_ kind: TraceKind) -> Bool { rawValue &>> UInt32(kind.rawValue) & 1 != 0 }
}
