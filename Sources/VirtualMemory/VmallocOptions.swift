import MemoryPrimitives

/// What the first touch of a page brings, for areas that ask for more than the page (`AreaRequest.bringsNeighbours`).
public struct VmallocOptions: Sendable {
    /// The most pages that a touch may map around it, a power of two: 16 at most, 1 for the touched one alone.
    @inline(__always)
    public var faultAroundPages: UInt { 1 &<< UInt(faultAroundOrder) }

    /// log2 of it.
    private var faultAroundOrder: UInt8 = 4

    /// Whether a touch may map a page of 2 MiB.
    public var mapsLargePages = true

    /// One fault lock covers so many pages.
    static var mostFaultAroundPages: UInt { 16 }

    /// The usual options.
    public init() {}

    /// Chooses how much a touch maps. - Parameter byteCount: any; is rounded down to a power of two, and taken for a page
    /// where it is less than one, for 64 KiB where it is more.
    public mutating func setFaultAround(byteCount: UInt) {
        let pages = max(1, min(byteCount >> PageSize.shift, Self.mostFaultAroundPages))
        faultAroundOrder = UInt8(UInt.bitWidth - 1 - pages.leadingZeroBitCount)
    }
}
