/// What one object of a slab is doing: a byte beside the slab's header, so that a free object holds nothing of ours, and
/// whoever writes to it after its end or beyond its bounds does not reach what the allocator believes.
///
///     free: in its slab's bitmap  --refill-->  free: in a magazine  --kmalloc-->  allocated
///     free: in its slab's bitmap  <--drain---  free: in a magazine  <--kfree----  allocated
///
/// | state     | the object is                                 | moved on by                                 |
/// |-----------|------------------------------------------------|---------------------------------------------|
/// | free      | nobody's: in the bitmap, under the cache's lock, or in one magazine | who holds the magazine |
/// | allocated | its user's                                    | kfree, by compare-and-exchange: one of them |
/// | waiting   | in the quarantine                             | who takes it out of the quarantine          |
/// | reserved  | in a memory pool's reserve                    | the pool, by compare-and-exchange           |
/// | seen      | free, and met by `checkInvariants()` in a magazine | the end of that check                  |
struct ObjectState: RawRepresentable, Equatable {
    let rawValue: UInt8

    @inline(__always)
    init(rawValue: UInt8) { self.rawValue = rawValue }

    @inline(__always) static var free: ObjectState { ObjectState(rawValue: 0) }
    @inline(__always) static var allocated: ObjectState { ObjectState(rawValue: 1) }
    @inline(__always) static var waiting: ObjectState { ObjectState(rawValue: 2) }
    @inline(__always) static var reserved: ObjectState { ObjectState(rawValue: 3) }
    @inline(__always) static var seen: ObjectState { ObjectState(rawValue: 4) }
    static var largestRawValue: UInt8 { 4 }

    /// The state in words, for reports.
    var name: StaticString {
        switch self {
        case .free, .seen: "free"
        case .allocated: "allocated"
        case .waiting: "freed, in the quarantine"
        case .reserved: "in a memory pool's reserve"
        default: "damaged"
        }
    }

    /// Whether the object is not the cache's to give away.
    var isInUse: Bool { self == .allocated || self == .reserved }
}
