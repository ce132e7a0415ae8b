/// The bytes that debugging fills memory with, Linux's, and looking for what has changed.
enum SlabBytes {
    /// Red zones of a free object (`SLUB_RED_INACTIVE`).
    static var freeRedZone: UInt8 { 0xbb }
    /// Red zones of an allocated object (`SLUB_RED_ACTIVE`).
    static var usedRedZone: UInt8 { 0xcc }
    /// A slab's bytes that nobody has (`POISON_INUSE`).
    static var padding: UInt8 { 0x5a }
    /// A free object (`POISON_FREE`).
    static var poison: UInt8 { 0x6b }
    /// The last byte of a free object (`POISON_END`).
    static var lastPoison: UInt8 { 0xa5 }

    /// Bytes that are not as expected: from the first to the last such.
    struct Damage {
        var start: UInt
        var end: UInt
        var found: UInt8
    }

    /// Fills memory that is the caller's.
    @inline(never)
    static func fill(_ start: UInt, _ byteCount: UInt, with byte: UInt8) {
        if byteCount == 0 { return }
        // The caller's memory, and never at address 0.
        let pointer = unsafe UnsafeMutableRawPointer(bitPattern: start).unsafelyUnwrapped
        unsafe pointer.initializeMemory(as: UInt8.self, repeating: byte, count: Int(bitPattern: byteCount))
    }

    /// What of the memory is not `byte`; nil where all is. - Complexity: O(bytes).
    @inline(never)
    static func damage(_ start: UInt, _ byteCount: UInt, expecting byte: UInt8) -> Damage? {
        let end = start &+ byteCount
        let word = UInt64(byte) &* 0x0101_0101_0101_0101
        var address = start
        // Whole words first: most of the memory, and all of it nearly always.
        while address < end {
            if address & 7 == 0, end &- address >= 8 {
                // Within the caller's memory; also in the next line.
                if unsafe UnsafePointer<UInt64>(bitPattern: address).unsafelyUnwrapped.pointee == word {
                    address &+= 8
                    continue
                }
            }
            if load(address) != byte { break }
            address &+= 1
        }
        guard address < end else { return nil }
        var last = end
        while load(last &- 1) == byte { last &-= 1 }
        return Damage(start: address, end: last, found: load(address))
    }

    /// The byte at an address in memory that is the caller's.
    @inline(__always)
    static func load(_ address: UInt) -> UInt8 {
        unsafe UnsafePointer<UInt8>(bitPattern: address).unsafelyUnwrapped.pointee
    }
}
