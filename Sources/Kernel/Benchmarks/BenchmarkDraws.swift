/// Random numbers that are the same in each run: xorshift64*, as the workloads on the host draw them.
struct BenchmarkDraws {
    private var state: UInt64 = 0x9e37_79b9_7f4a_7c15

    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_f491_4f6c_dd1d
    }

    /// A number below `limit`, which is positive and below 2^32.
    mutating func below(_ limit: Int) -> Int { Int((next() >> 32 &* UInt64(limit)) >> 32) }

    /// A size of 8 to 2047 bytes, each power of two as often as the others: two draws.
    mutating func size() -> UInt {
        let exponent = UInt64(3 + below(8))
        return UInt(1 << exponent + next() >> (64 - exponent))
    }
}
