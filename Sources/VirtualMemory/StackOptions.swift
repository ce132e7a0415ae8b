import MemoryPrimitives

/// How kernel stacks are to be.
public struct StackOptions: Equatable, Sendable {
    /// The usual size in pages: 2 to 16.
    public var pageCount: UInt = StackOptions.usualPageCount
    /// Pages below a stack that nobody may touch; at least one.
    public var guardPageCount: UInt16 = 1

    /// 16 KiB.
    public static var usualPageCount: UInt { 4 }
    /// 8 KiB to 64 KiB.
    public static var pageCounts: ClosedRange<UInt> { 2...16 }
    /// Up to 4 MiB.
    public static var guardPageCounts: ClosedRange<UInt> { 1...1024 }

    /// The usual sizes.
    public init() {}
}
