import MemoryPrimitives

/// What the rest of a guarded object's page is filled with, so that writes beside the object which stay within the page
/// are found when it is freed. Linux's pattern: each byte is `0xaa` with the low bits of its address turned.
enum GuardPattern {
    @inline(__always)
    static func byte(at address: UInt) -> UInt8 { 0xaa ^ UInt8(truncatingIfNeeded: address & 7) }

    /// Eight bytes from a multiple of 8 on.
    private static var word: UInt64 { 0xadac_afae_a9a8_abaa }

    /// Fills the page at `page` but for the bytes `object`, offsets within the page.
    @unsafe
    static func fill(_ page: UnsafeMutableRawPointer, except object: Range<Int>) {
        unsafe fill(page, 0, object.lowerBound)
        unsafe fill(page, object.upperBound, pageByteCount)
    }

    @unsafe
    private static func fill(_ page: UnsafeMutableRawPointer, _ start: Int, _ end: Int) {
        var offset = start
        while offset < end {
            // Within the page, by the caller's contract.
            if offset & 7 == 0, offset &+ 8 <= end {
                unsafe page.storeBytes(of: word, toByteOffset: offset, as: UInt64.self)
                offset &+= 8
            } else {
                unsafe page.storeBytes(of: byte(at: UInt(offset)), toByteOffset: offset, as: UInt8.self)
                offset &+= 1
            }
        }
    }

    /// What is no longer as `fill` left it.
    struct Damage {
        /// The first wrong byte's offset in the page.
        var offset: Int
        /// What is there instead.
        var found: UInt8
        /// The number of wrong bytes in the page.
        var byteCount: UInt
    }

    /// Compares the page with what `fill` left. - Complexity: O(bytes). - Returns: nil where nothing is wrong.
    @unsafe
    static func damage(of page: UnsafeRawPointer, except object: Range<Int>) -> Damage? {
        var damage: Damage?
        unsafe look(page, 0, object.lowerBound, &damage)
        unsafe look(page, object.upperBound, pageByteCount, &damage)
        return damage
    }

    @unsafe
    private static func look(_ page: UnsafeRawPointer, _ start: Int, _ end: Int, _ damage: inout Damage?) {
        var offset = start
        while offset < end {
            // Within the page, by the caller's contract.
            if offset & 7 == 0, offset &+ 8 <= end,
                unsafe page.load(fromByteOffset: offset, as: UInt64.self) == word
            {
                offset &+= 8
                continue
            }
            let found = unsafe page.load(fromByteOffset: offset, as: UInt8.self)
            if found != byte(at: UInt(offset)) {
                damage = damage ?? Damage(offset: offset, found: found, byteCount: 0)
                damage?.byteCount &+= 1
            }
            offset &+= 1
        }
    }

    static var pageByteCount: Int { Int(bitPattern: PageSize.byteCount) }
}
