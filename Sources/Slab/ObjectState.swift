/// What one object of a slab is doing: a byte beside the slab's header, so that a free object holds nothing of ours, and
/// whoever writes to it after its end or beyond its bounds does not reach what the allocator believes.
///
///     free --refill--> cached --kmalloc--> allocated
///     free <--drain--- cached <--kfree---- allocated
///
/// | state     | the object is                            | moved on by                                   |
/// |-----------|------------------------------------------|-----------------------------------------------|
/// | free      | in its slab's bitmap                     | refill, under the cache's lock                |
/// | cached    | in one magazine                          | who holds that magazine                       |
/// | allocated | its user's                               | kfree, by compare-and-exchange: one of them   |
/// | waiting   | in the quarantine                        | who takes it out of the quarantine            |
/// | seen      | cached, and met by `checkInvariants()`   | the end of that check                         |
struct ObjectState: RawRepresentable, Equatable {
    let rawValue: UInt8

    @inline(__always)
    init(rawValue: UInt8) { self.rawValue = rawValue }

    @inline(__always) static var free: ObjectState { ObjectState(rawValue: 0) }
    @inline(__always) static var cached: ObjectState { ObjectState(rawValue: 1) }
    @inline(__always) static var allocated: ObjectState { ObjectState(rawValue: 2) }
    @inline(__always) static var waiting: ObjectState { ObjectState(rawValue: 3) }
    @inline(__always) static var seen: ObjectState { ObjectState(rawValue: 4) }
}
