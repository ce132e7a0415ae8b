/// Rounding, the same for physical and virtual addresses. Alignments are powers of two.
public protocol AlignableAddress: RawRepresentable where RawValue == UInt {
    /// The address with this number.
    init(_ rawValue: UInt)
}

extension AlignableAddress {
    /// True when the address is a multiple of `alignment`, a power of two.
    @inline(__always)
    public func isAligned(to alignment: UInt) -> Bool { rawValue & (alignment &- 1) == 0 }

    /// The last multiple of `alignment`, a power of two, that is not above the address.
    @inline(__always)
    public func roundedDown(to alignment: UInt) -> Self { Self(rawValue & ~(alignment &- 1)) }

    /// The first multiple of `alignment`, a power of two, that is not below the address; nil where that would overflow.
    @inline(__always)
    public func roundedUp(to alignment: UInt) -> Self? {
        let (sum, overflow) = rawValue.addingReportingOverflow(alignment &- 1)
        return overflow ? nil : Self(sum & ~(alignment &- 1))
    }
}
