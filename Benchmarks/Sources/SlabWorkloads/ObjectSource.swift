import HostSupport

/// What the workloads call: one plain function for each operation, as for every other allocator.
protocol ObjectSource {
    /// - Returns: the object's address; 0 where the request is refused.
    func allocate(_ byteCount: UInt) -> UInt

    func free(_ object: UInt)
}

/// An allocator that does nothing: what the loops around the calls cost. Its objects are one place that may be written.
@safe
struct NullObjects: ObjectSource {
    private let place: UnsafeMutablePointer<UInt>

    init() { unsafe place = UnsafeMutablePointer.allocate(capacity: 1) }

    @inline(never)
    func allocate(_ byteCount: UInt) -> UInt { host_hide(unsafe UInt(bitPattern: place)) }

    @inline(never)
    func free(_ object: UInt) { _ = host_hide(object) }

    func deallocate() { unsafe place.deallocate() }
}
