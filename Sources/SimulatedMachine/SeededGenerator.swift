#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Random numbers that a seed repeats: xorshift64* (Marsaglia 2003, Vigna 2016).
///
/// For tests only. Tests get theirs from `fromEnvironment(default:)`, which prints the seed before anything fails.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    /// What the generator was started with.
    public let seed: UInt64
    private var state: UInt64

    /// A generator that gives the same numbers for the same seed.
    public init(seed: UInt64) {
        self.seed = seed
        // xorshift stays at zero for ever, so that seed alone is replaced.
        state = seed == 0 ? 0x9e37_79b9_7f4a_7c15 : seed
    }

    /// A generator with the seed in the environment variable `QUARRY_SEED` (decimal, or hexadecimal after `0x`), and
    /// with `default` where there is none. Prints how to repeat the test.
    ///
    /// A test whose CPUs run at once calls it once and gives each CPU the generator `forCPU` makes.
    /// - Parameters:
    ///   - seed: what it is where the environment says nothing.
    ///   - file: the test's file, for what is printed.
    ///   - function: the test, for what is printed.
    public static func fromEnvironment(
        default seed: UInt64, file: String = #fileID, function: String = #function
    ) -> SeededGenerator {
        let generator = SeededGenerator(seed: chosenSeed ?? seed)
        print("QUARRY_SEED=\(generator.seed) repeats \(file) \(function)")
        // What is buffered is lost when the test traps. Null stands for all streams.
        fflush(nil)
        return generator
    }

    /// The seed in the environment.
    private static var chosenSeed: UInt64? {
        // getenv answers null or a string that lives as long as nobody changes the environment, and nobody does.
        guard let value = unsafe getenv("QUARRY_SEED") else { return nil }
        let text = unsafe String(cString: value)
        let chosen = text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
        guard let chosen else { fatalError("QUARRY_SEED is not a number: \(text)") }
        return chosen
    }

    /// A generator whose sequence is `cpu`'s own and follows from this one's seed.
    public func forCPU(_ cpu: Int) -> SeededGenerator {
        // Far apart, so that no CPU repeats what another one does with a neighbouring seed.
        SeededGenerator(seed: seed &+ UInt64(cpu + 1) &* 0x9e37_79b9)
    }

    /// The next number. - Complexity: O(1).
    public mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_f491_4f6c_dd1d
    }
}
