/// The callers of a piece of code, the nearest first: return addresses, at most 8 of them. Zero bytes are an empty trace.
public struct StackTrace: Sendable {
    /// The most addresses that a trace has room for.
    @inline(__always)
    public static var capacity: Int { 8 }

    private var addresses = InlineArray<8, UInt>(repeating: 0)

    /// An empty trace.
    public init() {}

    /// The number of addresses. - Complexity: O(capacity).
    public var count: Int {
        var count = 0
        while count < Self.capacity, addresses[count] != 0 { count += 1 }
        return count
    }

    /// An address, by its place: `0 ..< capacity`; 0 where there is none.
    public subscript(index: Int) -> UInt { addresses[index] }

    /// Adds the next caller's return address, which is not 0.
    /// - Returns: false, with nothing added, where there is no room. - Complexity: O(capacity).
    @discardableResult
    public mutating func append(_ address: UInt) -> Bool {
        let place = count
        guard place < Self.capacity else { return false }
        addresses[place] = address
        return true
    }
}

extension ReportWriter {
    /// Writes a trace as Linux does, a line for each address, without the `first` nearest callers.
    public mutating func write(_ trace: StackTrace, from first: Int = 0) {
        for index in first..<StackTrace.capacity where trace[index] != 0 {
            write(" ")
            write(returnAddress: trace[index])
            endLine()
        }
    }
}
