/// An option set whose values are combined with `|`, as in `.kernel | .zero`.
///
/// The array literal that option sets offer for that makes an array: optimised code never sees it, but a `-Onone` kernel
/// would allocate from the Swift runtime before, and within, the allocators that the runtime stands on.
public protocol FlagSet: OptionSet, Sendable where RawValue: FixedWidthInteger & Sendable {}

extension FlagSet {
    /// No flag.
    @inline(__always)
    public static var none: Self { Self(rawValue: 0) }

    /// The flags of both.
    @inline(__always)
    public static func | (left: Self, right: Self) -> Self { Self(rawValue: left.rawValue | right.rawValue) }
}
