/// Takes an input apart, byte by byte.
struct InputReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    /// The next byte; 0 behind the end.
    mutating func byte() -> UInt8 {
        if isAtEnd { return 0 }
        defer { position += 1 }
        return bytes[position]
    }

    /// The next two bytes.
    mutating func word() -> UInt { UInt(byte()) | UInt(byte()) << 8 }

    /// All bytes that are left.
    mutating func rest() -> ArraySlice<UInt8> {
        defer { position = bytes.count }
        return bytes[position...]
    }
}

/// What an input has shown to be wrong.
public struct Finding: Error, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}

func require(_ condition: Bool, _ text: @autoclosure () -> String) throws {
    if !condition { throw Finding(text()) }
}
