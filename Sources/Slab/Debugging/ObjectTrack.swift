import MemoryPrimitives

/// Who allocated an object, or freed it: callers, CPU and time. Zero bytes are nobody.
struct ObjectTrack {
    var trace = StackTrace()
    /// As of `Platform.cycleCounter`.
    var time: UInt64 = 0
    var cpu: UInt32 = 0
    var isKnown: UInt32 = 0

    /// Bytes in a slot.
    static var byteCount: UInt { UInt(bitPattern: MemoryLayout<ObjectTrack>.stride) }

    enum Event: Int {
        case allocation = 0
        case free = 1
    }
}
