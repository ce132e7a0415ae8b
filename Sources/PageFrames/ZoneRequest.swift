/// What a zone needs to know of a request for a block.
struct ZoneRequest {
    let order: Int
    let flags: AllocationFlags
    let mobility: Mobility
    let highestZone: ZoneKind

    /// What the zone must keep. `min` is where the flags of urgent requests count.
    let mark: Watermarks.Mark

    @inline(__always)
    init(order: Int, flags: AllocationFlags, above mark: Watermarks.Mark) {
        self.order = order
        self.flags = flags
        mobility = flags.mobility
        highestZone = flags.highestZone
        self.mark = mark
    }

    /// The frames of one block.
    @inline(__always)
    var frameCount: UInt { 1 << UInt(bitPattern: order) }
}
