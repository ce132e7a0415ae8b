/// An address as an instruction names it, before translation.
public struct VirtualAddress: RawRepresentable, Comparable, Hashable, Sendable {
    /// The address as a number.
    public var rawValue: UInt

    /// The address with this number, canonical or not.
    @inline(__always)
    public init(rawValue: UInt) { self.rawValue = rawValue }

    /// The address with this number, canonical or not.
    @inline(__always)
    public init(_ rawValue: UInt) { self.rawValue = rawValue }

    /// The address that a pointer holds.
    @inline(__always)
    public init(_ pointer: UnsafeRawPointer) { rawValue = UInt(bitPattern: pointer) }

    /// True when bits 63 to 47 are all alike, as four-level paging demands (Intel SDM vol. 1, 3.3.7.1).
    public var isCanonical: Bool {
        let upper = rawValue >> 47
        return upper == 0 || upper == 0x1_ffff
    }

    /// Orders addresses as unsigned numbers: the lower half of the address space comes first.
    @inline(__always)
    public static func < (left: VirtualAddress, right: VirtualAddress) -> Bool { left.rawValue < right.rawValue }

    /// The address `bytes` further on; traps on overflow.
    @inline(__always)
    public static func + (address: VirtualAddress, bytes: UInt) -> VirtualAddress {
        VirtualAddress(address.rawValue + bytes)
    }

    /// The address `bytes` before; traps on underflow.
    @inline(__always)
    public static func - (address: VirtualAddress, bytes: UInt) -> VirtualAddress {
        VirtualAddress(address.rawValue - bytes)
    }

    /// The distance in bytes from `start`, which must not lie beyond `self`.
    @inline(__always)
    public func distance(from start: VirtualAddress) -> UInt { rawValue - start.rawValue }
}

extension VirtualAddress: AlignableAddress {}
