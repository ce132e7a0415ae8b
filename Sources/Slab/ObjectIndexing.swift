/// Turns the offset of an object within its slab into its index with one multiplication and one rotation.
///
/// An object size is `odd << shift`. Multiplying by the inverse of `odd` modulo 2^32 divides multiples of `odd` exactly;
/// rotating right by `shift` divides by the power of two and, for an offset that is no multiple, carries a low bit to the
/// top, so that the result is far beyond any slab's number of objects (Granlund and Montgomery 1994, section 9). One
/// comparison thus tells objects from interior pointers, padding and the slab's header.
struct ObjectIndexing {
    /// The inverse, modulo 2^32, of the object size's odd factor.
    let inverse: UInt32
    /// The power of two in the object size, as a logarithm.
    let shift: UInt32

    /// - Parameter objectSize: bytes, greater than zero.
    init(objectSize: UInt32) {
        shift = UInt32(truncatingIfNeeded: objectSize.trailingZeroBitCount)
        let odd = objectSize &>> shift
        // Newton's iteration doubles the correct bits: 3 to begin with, since odd * odd is 1 modulo 8; 6, 12, 24, 48.
        var inverse = odd
        for _ in 0..<4 { inverse = inverse &* (2 &- odd &* inverse) }
        self.inverse = inverse
    }

    @inline(__always)
    init(inverse: UInt32, shift: UInt8) {
        self.inverse = inverse
        self.shift = UInt32(shift)
    }

    /// The index of the object at `offset` bytes; at least 2^32 / objectSize where no object starts there.
    @inline(__always)
    func index(atOffset offset: UInt32) -> UInt32 {
        let quotient = offset &* inverse
        return quotient &>> shift | quotient &<< (0 &- shift)
    }
}
