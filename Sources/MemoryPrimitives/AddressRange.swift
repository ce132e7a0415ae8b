/// A half-open range of addresses, `start ..< end`. Empty when `start == end`.
public struct AddressRange<Address: AlignableAddress & Comparable>: Equatable {
    /// The first address in the range.
    public var start: Address
    /// The first address behind it.
    public var end: Address

    /// The addresses from `start` up to, and not with, `end`.
    /// - Precondition: `start` does not lie beyond `end`.
    @inline(__always)
    public init(_ start: Address, _ end: Address) {
        precondition(start <= end, "a range ends before it starts")
        self.start = start
        self.end = end
    }

    /// The range of `byteCount` bytes from `start`; nil where it would wrap round.
    @inline(__always)
    public init?(_ start: Address, byteCount: UInt) {
        let (end, overflow) = start.rawValue.addingReportingOverflow(byteCount)
        if overflow { return nil }
        self.start = start
        self.end = Address(end)
    }

    /// How many bytes the range has: `end - start`.
    @inline(__always)
    public var byteCount: UInt { end.rawValue &- start.rawValue }

    /// Whether there is no address in it.
    @inline(__always)
    public var isEmpty: Bool { start == end }

    /// Whether `address` lies in the range.
    @inline(__always)
    public func contains(_ address: Address) -> Bool { start <= address && address < end }

    /// True when all of `other` lies within the range.
    public func contains(_ other: AddressRange) -> Bool { start <= other.start && other.end <= end }

    /// True when the two share a byte; an empty range overlaps nothing.
    public func overlaps(_ other: AddressRange) -> Bool {
        start < other.end && other.start < end && !isEmpty && !other.isEmpty
    }

    /// What both have in common; nil where that is nothing.
    public func intersection(_ other: AddressRange) -> AddressRange? {
        let low = start < other.start ? other.start : start
        let high = end < other.end ? end : other.end
        return low < high ? AddressRange(low, high) : nil
    }

    /// The whole pages within the range, partial ones trimmed at both ends; nil where there is none.
    public func wholePages(of alignment: UInt = PageSize.byteCount) -> AddressRange? {
        guard let low = start.roundedUp(to: alignment) else { return nil }
        let high = end.roundedDown(to: alignment)
        return low < high ? AddressRange(low, high) : nil
    }

    /// The range widened to whole pages at both ends; nil where that would wrap round.
    public func enclosingPages(of alignment: UInt = PageSize.byteCount) -> AddressRange? {
        guard let high = end.roundedUp(to: alignment) else { return nil }
        return AddressRange(start.roundedDown(to: alignment), high)
    }
}

extension AddressRange: Sendable where Address: Sendable {}
extension AddressRange: Hashable where Address: Hashable {}

/// A range on the memory bus.
public typealias PhysicalRange = AddressRange<PhysicalAddress>
/// A range as instructions name it.
public typealias VirtualRange = AddressRange<VirtualAddress>
