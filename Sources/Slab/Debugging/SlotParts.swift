import MemoryPrimitives

/// What lies where in the slot of an object, counted in bytes from the object's first.
///
///     | left red zone | object | right red zone | who allocated, who freed | bytes asked for | padding |
///
/// The left red zone is as long as the object's alignment. The right one fills the object up to a multiple of 8, and is
/// at least one byte. What was asked for, where that is less than the object, ends before the object does: the rest is
/// red zone, too, while the object is allocated. Without debugging there is the object alone, and what fills it up.
struct SlotParts {
    let objectSize: UInt
    /// Bytes of the left red zone.
    let objectOffset: UInt
    let slotSize: UInt
    let flags: CacheFlags

    init(objectSize: UInt, alignment: UInt, flags: CacheFlags) {
        let leftRedZone = flags.contains(.redZone) ? alignment : 0
        let parts = SlotParts(objectSize: objectSize, objectOffset: leftRedZone, slotSize: 0, flags: flags)
        self = SlotParts(
            objectSize: objectSize, objectOffset: leftRedZone,
            slotSize: (leftRedZone + parts.paddingOffset + alignment - 1) & ~(alignment - 1), flags: flags)
    }

    /// The slots of a cache.
    init(_ layout: SlabLayout, _ flags: CacheFlags) {
        self = SlotParts(
            objectSize: layout.objectSize, objectOffset: layout.objectOffset, slotSize: layout.slotSize, flags: flags)
    }

    private init(objectSize: UInt, objectOffset: UInt, slotSize: UInt, flags: CacheFlags) {
        self.objectSize = objectSize
        self.objectOffset = objectOffset
        self.slotSize = slotSize
        self.flags = flags
    }

    var layout: SlabLayout { SlabLayout(objectSize: objectSize, slotSize: slotSize, objectOffset: objectOffset) }

    /// Where the right red zone ends, or what fills the object up.
    var redZoneEnd: UInt {
        let end = (objectSize + 7) & ~7
        return flags.contains(.redZone) && end == objectSize ? end + 8 : end
    }

    /// Where two `ObjectTrack`s begin.
    var tracksOffset: UInt { redZoneEnd }

    /// Where the number of bytes that were asked for stands.
    var requestOffset: UInt {
        redZoneEnd + (flags.contains(.storeUser) ? 2 * ObjectTrack.byteCount : 0)
    }

    var paddingOffset: UInt { requestOffset + (flags.contains(.redZone) ? 8 : 0) }
    var paddingEnd: UInt { slotSize - objectOffset }
}
