/// An address on the memory bus: what page tables hold and the firmware's map describes.
public struct PhysicalAddress: RawRepresentable, Comparable, Hashable, Sendable {
    /// The address as a number of bytes from the beginning of the bus.
    public var rawValue: UInt

    /// The address with this number.
    @inline(__always)
    public init(rawValue: UInt) { self.rawValue = rawValue }

    /// The address with this number.
    @inline(__always)
    public init(_ rawValue: UInt) { self.rawValue = rawValue }

    /// The first address of all.
    public static let zero = PhysicalAddress(0)

    /// The highest address that x86-64 can ever put on the bus plus one (Intel SDM vol. 3, 4.1.4: at most 52 bits).
    public static let limit = PhysicalAddress(1 << 52)

    /// Orders addresses as numbers.
    @inline(__always)
    public static func < (left: PhysicalAddress, right: PhysicalAddress) -> Bool { left.rawValue < right.rawValue }

    /// The address `bytes` further on; traps on overflow.
    @inline(__always)
    public static func + (address: PhysicalAddress, bytes: UInt) -> PhysicalAddress {
        PhysicalAddress(address.rawValue + bytes)
    }

    /// The address `bytes` before; traps on underflow.
    @inline(__always)
    public static func - (address: PhysicalAddress, bytes: UInt) -> PhysicalAddress {
        PhysicalAddress(address.rawValue - bytes)
    }

    /// The distance in bytes from `start`, which must not lie beyond `self`.
    @inline(__always)
    public func distance(from start: PhysicalAddress) -> UInt { rawValue - start.rawValue }
}

extension PhysicalAddress: AlignableAddress {}
