import MemoryPrimitives

/// Reads structures that somebody else left in memory, at addresses that somebody else says: every access is checked
/// against what is mapped.
@safe
struct PhysicalMemoryReader: Sendable {
    let directMap: DirectMap
    /// The end of the physical memory that the direct map covers.
    let limit: PhysicalAddress

    /// The range of `byteCount` bytes at `address`, where all of it can be read and is not at address 0.
    func range(at address: UInt, byteCount: UInt) -> PhysicalRange? {
        guard address != 0, let range = PhysicalRange(PhysicalAddress(address), byteCount: byteCount),
            range.end <= limit
        else { return nil }
        return range
    }

    /// The bytes of `range`, where all of it can be read.
    @unsafe
    func bytes(of range: PhysicalRange) -> UnsafeRawBufferPointer? {
        guard range.end <= limit else { return nil }
        return unsafe UnsafeRawBufferPointer(start: directMap.pointer(to: range.start), count: Int(range.byteCount))
    }

    /// The little-endian number at `address`, aligned or not.
    func load<Number: FixedWidthInteger & BitwiseCopyable>(_ type: Number.Type, at address: UInt) -> Number? {
        guard let range = range(at: address, byteCount: UInt(MemoryLayout<Number>.size)) else { return nil }
        // All of the number is mapped, and any bits make an integer.
        return unsafe Number(littleEndian: directMap.pointer(to: range.start).loadUnaligned(as: type))
    }

    /// The range of the string at `address`, without its end: it ends at a NUL byte, after `maximum` bytes, or where the
    /// mapped memory does. Nil for an address that cannot be read.
    func string(at address: UInt, maximum: UInt) -> PhysicalRange? {
        guard let first = range(at: address, byteCount: 1) else { return nil }
        let readable = min(maximum, limit.distance(from: first.start))
        var length: UInt = 0
        // length < readable, so that the byte is mapped.
        while length < readable, unsafe directMap.pointer(to: first.start + length).load(as: UInt8.self) != 0 {
            length &+= 1
        }
        return PhysicalRange(first.start, first.start + length)
    }
}
