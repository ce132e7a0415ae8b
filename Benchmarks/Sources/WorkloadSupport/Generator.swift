/// The random numbers that the workloads draw, the same for every allocator: xorshift64*.
package struct Generator {
    package static let seed: UInt64 = 0x9e37_79b9_7f4a_7c15

    package private(set) var state = Generator.seed

    package init() {}

    @inline(__always)
    package mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_f491_4f6c_dd1d
    }

    /// A number below `limit`, which is below 2^32.
    @inline(__always)
    package mutating func below(_ limit: Int) -> Int {
        Int(bitPattern: UInt(((next() >> 32) &* UInt64(UInt(bitPattern: limit))) >> 32))
    }

    /// Order 0 half of the time, order 1 a quarter of the time, and so on, at most `highest`.
    @inline(__always)
    package mutating func order(upTo highest: Int) -> Int { min(next().leadingZeroBitCount, highest) }

    /// A size of 8 to 2047 bytes: two draws.
    package mutating func size() -> UInt64 {
        let exponent = UInt64(3 + below(8))
        return 1 << exponent + next() >> (64 - exponent)
    }
}

/// FNV-1a over 64-bit words.
package struct Checksum {
    package private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    package init() {}

    package mutating func add(_ word: Int) { value = (value ^ UInt64(word)) &* 0x100_0000_01b3 }
}
