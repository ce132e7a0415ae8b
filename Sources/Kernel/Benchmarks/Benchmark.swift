/// An operation and the one that undoes it, as a user calls them. What a row of `make bench` measures.
///
/// A value holds all that the calls need, so that a sample does not count looking it up.
protocol Benchmark {
    /// - Returns: a block's number or address; nil or 0 where the call fails.
    func allocate() -> UInt?

    func free(_ block: UInt)
}

/// As `Benchmark`, for blocks of a size that each call says.
protocol SizedBenchmark {
    /// - Returns: a block's address; nil or 0 where the call fails.
    func allocate(byteCount: UInt) -> UInt?

    func free(_ block: UInt)
}

/// A call that has a row of its own.
protocol SingleCall {
    /// What comes before the call and is not counted. - Returns: what the call is given; nil or 0 where that fails.
    func prepare() -> UInt?

    /// - Returns: the call's result; nil or 0 where it fails.
    func call(_ block: UInt) -> UInt?

    /// What comes after the call and is not counted.
    func finish(_ block: UInt, _ result: UInt)
}

/// In which order a batch is given back.
enum BatchOrder {
    case firstInFirstOut, lastInFirstOut, random

    var name: StaticString {
        switch self {
        case .firstInFirstOut: "fifo"
        case .lastInFirstOut: "lifo"
        case .random: "rand"
        }
    }
}
