import MemoryPrimitives

/// The addresses that a device can put on the bus: those up to `last`. Linux's `DMA_BIT_MASK`.
public struct DMAMask: Equatable, Sendable {
    /// The highest address, all of whose bits below the device drives.
    public let last: UInt

    /// The mask of a device with so many address lines.
    /// - Parameter bits: how many address lines the device drives, 1 to 64.
    @inline(__always)
    public init(bits: UInt) {
        precondition(1 <= bits && bits <= 64, "a device drives 1 to 64 address lines")
        last = UInt.max >> (64 &- bits)
    }

    /// Any mask; as Linux's drivers write it.
    @inline(__always)
    public init(_ last: UInt) { self.last = last }

    /// The ISA bus: 16 MiB.
    @inline(__always) public static var bits24: DMAMask { DMAMask(bits: 24) }
    /// What every device gets that says nothing: 4 GiB.
    @inline(__always) public static var bits32: DMAMask { DMAMask(bits: 32) }
    /// All that there is.
    @inline(__always) public static var bits64: DMAMask { DMAMask(bits: 64) }

    /// True when the device reaches the byte at `address`.
    @inline(__always)
    public func reaches(_ address: UInt) -> Bool { address <= last }
}

/// An address as a device puts it on the bus. Without an IOMMU it is the physical address of the same byte, or of a copy.
public struct BusAddress: RawRepresentable, Comparable, Hashable, Sendable {
    /// The address as the device is told it.
    public var rawValue: UInt

    /// The address with this number.
    @inline(__always)
    public init(rawValue: UInt) { self.rawValue = rawValue }

    /// The address with this number.
    @inline(__always)
    public init(_ rawValue: UInt) { self.rawValue = rawValue }

    /// Orders addresses as numbers.
    @inline(__always)
    public static func < (left: BusAddress, right: BusAddress) -> Bool { left.rawValue < right.rawValue }

    /// The address `bytes` further on.
    @inline(__always)
    public static func + (address: BusAddress, bytes: UInt) -> BusAddress {
        BusAddress(address.rawValue &+ bytes)
    }
}

/// Who writes to a buffer while a device has it. Linux's `enum dma_data_direction`, without `DMA_NONE`.
public enum DMADirection: UInt8, Sendable {
    /// Both.
    case bidirectional = 0
    /// The CPU, before: the device reads.
    case toDevice = 1
    /// The device.
    case fromDevice = 2

    /// Whether the device is to see what the CPU wrote.
    @inline(__always)
    public var isForDevice: Bool { self != .fromDevice }

    /// Whether the CPU is to see what the device wrote.
    @inline(__always)
    public var isForCPU: Bool { self != .toDevice }

    /// The direction as reports call it.
    public var name: StaticString {
        switch self {
        case .bidirectional: "both ways"
        case .toDevice: "to the device"
        case .fromDevice: "from the device"
        }
    }
}

/// Why a buffer cannot be given to a device. Nothing has changed then.
public enum DMAError: UInt8, Error, Sendable {
    /// There are no bytes.
    case emptyBuffer
    /// Some of it is no RAM that the direct map shows in one piece: vmalloc's, a stack's, a device's, no memory at all.
    case notDirectlyMapped
    /// The device does not reach it, and it is larger than what can be copied at a time.
    case tooLarge
    /// The device does not reach it, and the pool of memory that it reaches is full.
    case poolFull
    /// The device does not reach it, and there is no memory for the pool, or none so low; or copying
    /// was turned off (`swiotlb=noforce`).
    case noPool
    /// The device reaches no memory at all.
    case maskTooSmall
    /// There is no memory that the device reaches.
    case outOfMemory

    /// The error in words, for reports.
    public var reason: StaticString {
        switch self {
        case .emptyBuffer: "there are no bytes"
        case .notDirectlyMapped: "it is not RAM in one piece of the direct map"
        case .tooLarge: "it is too large to be copied"
        case .poolFull: "swiotlb buffer is full"
        case .noPool: "there is no memory that the device reaches"
        case .maskTooSmall: "the device reaches no memory"
        case .outOfMemory: "no memory that the device reaches is free"
        }
    }
}
