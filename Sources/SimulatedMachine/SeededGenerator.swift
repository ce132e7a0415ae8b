#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Random numbers that a seed repeats: xorshift64* (Marsaglia 2003, Vigna 2016).
///
/// For tests only: print `seed` with a failure, and give it back in the environment as `QUARRY_SEED`.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    /// What the generator was started with.
    public let seed: UInt64
    private var state: UInt64

    public init(seed: UInt64) {
        self.seed = seed
        // xorshift stays at zero for ever, so that seed alone is replaced.
        state = seed == 0 ? 0x9e37_79b9_7f4a_7c15 : seed
    }

    /// A generator with the seed in the environment variable `QUARRY_SEED` (decimal, or hexadecimal after `0x`), and
    /// with `default` where there is none.
    public static func fromEnvironment(default seed: UInt64) -> SeededGenerator {
        // getenv answers null or a string that lives as long as nobody changes the environment, and nobody does.
        guard let value = unsafe getenv("QUARRY_SEED") else { return SeededGenerator(seed: seed) }
        let text = unsafe String(cString: value)
        let chosen = text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
        guard let chosen else { fatalError("QUARRY_SEED is not a number: \(text)") }
        return SeededGenerator(seed: chosen)
    }

    public mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_f491_4f6c_dd1d
    }
}
