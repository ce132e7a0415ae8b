/// What one object of a slab is doing: a byte in the slab's header, so that a free object holds nothing of ours.
///
/// The header of a slab of small objects lies behind its last object: who writes far past that one damages it, which
/// `checkInvariants()` finds and the fast paths do not.
///
///     free --refill--> cached --kmalloc--> allocated
///     free <--drain--- cached <--kfree---- allocated
///
///     free --taken for a slab's header--> header --slab given back--> free
///
/// | state     | the object is                            | moved on by                                   |
/// |-----------|------------------------------------------|-----------------------------------------------|
/// | free      | in its slab's bitmap                     | refill, under the cache's lock                |
/// | cached    | in one CPU's magazine                    | that CPU, interrupts disabled                 |
/// | allocated | its user's                               | kfree, by compare-and-exchange: one of them   |
/// | header    | the header of a slab of another cache    | retiring that slab, under the cache's lock    |
/// | seen      | cached, and met by `checkInvariants()`   | the end of that check                         |
struct ObjectState: RawRepresentable, Equatable {
    let rawValue: UInt8

    @inline(__always)
    init(rawValue: UInt8) { self.rawValue = rawValue }

    @inline(__always) static var free: ObjectState { ObjectState(rawValue: 0) }
    @inline(__always) static var cached: ObjectState { ObjectState(rawValue: 1) }
    @inline(__always) static var allocated: ObjectState { ObjectState(rawValue: 2) }
    @inline(__always) static var header: ObjectState { ObjectState(rawValue: 3) }
    @inline(__always) static var seen: ObjectState { ObjectState(rawValue: 4) }
}
