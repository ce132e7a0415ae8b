/// A NUMA node: CPUs and the memory that is near to them. The kernel knows one, number 0; the calls that take a node
/// are ready for more.
public struct MemoryNode: RawRepresentable, Comparable, Hashable, Sendable {
    /// The node's number.
    public var rawValue: UInt8

    /// The node with this number.
    @inline(__always)
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The first node, and the only one that the kernel knows.
    public static let zero = MemoryNode(rawValue: 0)

    /// Orders nodes by number.
    @inline(__always)
    public static func < (left: MemoryNode, right: MemoryNode) -> Bool { left.rawValue < right.rawValue }
}
