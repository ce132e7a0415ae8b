import MemoryPrimitives

/// A cache's name, as `slabinfo` shows it: up to 31 bytes of ASCII, kept by value.
public struct CacheName: Sendable {
    /// The most bytes of a name.
    static var largestByteCount: Int { 31 }

    private var bytes = InlineArray<32, UInt8>(repeating: 0)
    private var count = 0

    /// The name of a cache that somebody makes.
    /// - Parameter name: what goes beyond 31 bytes is left out.
    public init(_ name: StaticString) { append(name) }

    /// "kmalloc-64", "dma-kmalloc-1k".
    init(sizeClass: SizeClass, isDMA: Bool) {
        append(isDMA ? "dma-kmalloc-" : "kmalloc-")
        let size = sizeClass.byteCount
        if size >= 1024, size & 1023 == 0 {
            append(decimal: size / 1024)
            append("k")
        } else {
            append(decimal: size)
        }
    }

    /// The number of bytes.
    public var byteCount: Int { count }

    /// The byte at a position below `byteCount`.
    public subscript(position: Int) -> UInt8 { bytes[position] }

    /// True where the name is `text`.
    public func isEqual(to text: StaticString) -> Bool {
        guard text.utf8CodeUnitCount == count else { return false }
        // A StaticString's bytes live as long as the image.
        for index in 0..<count where unsafe text.utf8Start[index] != bytes[index] { return false }
        return true
    }

    private mutating func append(_ text: StaticString) {
        // As above.
        for index in 0..<text.utf8CodeUnitCount { append(unsafe text.utf8Start[index]) }
    }

    private mutating func append(_ byte: UInt8) {
        if count == Self.largestByteCount { return }
        bytes[count] = byte
        count += 1
    }

    private mutating func append(decimal number: UInt) {
        if number >= 10 { append(decimal: number / 10) }
        append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number % 10))
    }
}

extension ReportWriter {
    /// Writes a cache's name, left-aligned in `width` columns.
    public mutating func write(_ name: CacheName, width: Int = 0) {
        for index in 0..<name.byteCount { write(name[index]) }
        for _ in 0..<max(0, width - name.byteCount) { write(UInt8(ascii: " ")) }
    }
}
