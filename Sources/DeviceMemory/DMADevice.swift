import MemoryPrimitives

/// A device as far as memory goes: which addresses it reaches, and so how buffers are given to it.
///
/// Made by `DMAMapper.makeDevice`; its driver keeps it. A copy is the same device.
public struct DMADevice<P: Platform>: Sendable {
    /// How buffers are given to it.
    enum Path: UInt8, Sendable {
        /// As they are: it reaches all memory.
        case direct
        /// Copied where it does not reach them.
        case bounced
        /// Each is noted down, copied or not.
        case debugged
    }

    /// What reports call the device.
    public let name: StaticString
    /// Tells devices apart in the notes of mappings.
    let number: UInt
    /// What it reaches of buffers that are mapped.
    public internal(set) var mask: DMAMask
    /// What it reaches of memory that is made for it.
    public internal(set) var coherentMask: DMAMask
    /// A buffer whose last byte's address is no higher is given as it is, and nothing else is to be done. This one number
    /// stands for the mask, for the end of memory, and for the ways of debugging, with which it is 0.
    var quickLimit: UInt
    var path: Path
    /// What is used for buffers that it does not reach; nil where it reaches all, or copying is off.
    var pool: Permanent<BouncePool<P>>?
}

/// A part of a list of buffers that a device gets together. Linux's `struct scatterlist`.
public struct ScatterEntry: Sendable {
    /// Where the buffer is in the direct map.
    public var address: VirtualAddress
    /// Its size.
    public var byteCount: UInt
    /// What the device gets; set by `mapList`.
    public internal(set) var bus = BusAddress(0)

    /// A buffer of `byteCount` bytes at `address`, which no device has yet.
    public init(_ address: VirtualAddress, byteCount: UInt) {
        self.address = address
        self.byteCount = byteCount
    }
}

/// Memory that the CPU and a device share.
public struct CoherentBuffer: Sendable {
    /// Where the CPU sees it.
    public let address: VirtualAddress
    /// Where the device does.
    public let bus: BusAddress
    /// Its size, as it was asked for.
    public let byteCount: UInt
}
