/// A byte that memory is filled with, so that a write to it is seen later.
@safe
struct FillPattern {
    let byte: UInt8

    /// What freed frames are filled with: Linux's `PAGE_POISON`.
    static var freed: FillPattern { FillPattern(byte: 0xaa) }

    /// What guard pages are filled with. Another byte, so that a report's reader can tell them apart.
    static var guardPage: FillPattern { FillPattern(byte: 0xa5) }

    /// Bytes that are not the pattern's.
    struct Damage {
        /// Where the first is, in bytes from the start, and what is there.
        var offset: UInt
        var byte: UInt8
        /// How many there are.
        var byteCount: UInt = 0
        /// Whether all that is wrong is one bit: more likely the memory's fault than a program's.
        var isSingleBit = false
    }

    private var word: UInt64 { UInt64(byte) &* 0x0101_0101_0101_0101 }

    /// Fills memory that is the caller's: `byteCount` bytes, a multiple of 8, from an address that is one.
    @unsafe
    @inline(never)
    func fill(_ start: UnsafeMutableRawPointer, byteCount: Int) {
        unsafe start.initializeMemory(as: UInt64.self, repeating: word, count: byteCount / 8)
    }

    /// Compares memory with the pattern; nil where it is all there. As `fill`. - Complexity: O(bytes).
    @unsafe
    @inline(never)
    func damage(to start: UnsafeMutableRawPointer, byteCount: Int) -> Damage? {
        // The caller's memory, aligned.
        let words = unsafe start.assumingMemoryBound(to: UInt64.self)
        var damage: Damage?
        for index in 0..<byteCount / 8 {
            let difference = unsafe words[index] ^ word
            if difference == 0 { continue }
            let first = difference.trailingZeroBitCount / 8
            var found =
                damage
                ?? Damage(
                    offset: UInt(index * 8 + first),
                    byte: UInt8(truncatingIfNeeded: difference >> UInt64(first * 8)) ^ byte)
            found.isSingleBit = damage == nil && difference.nonzeroBitCount == 1
            for place in 0..<8 where difference >> UInt64(place * 8) & 0xff != 0 { found.byteCount += 1 }
            damage = found
        }
        return damage
    }
}
