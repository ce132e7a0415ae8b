/// An operation and the one that undoes it, as a user calls them. What a row of `make bench` measures.
///
/// A value holds all that the calls need, so that a sample does not count looking it up.
protocol Benchmark {
    /// - Returns: a block's number or address; nil where the call fails.
    func allocate() -> UInt?

    func free(_ block: UInt)
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
