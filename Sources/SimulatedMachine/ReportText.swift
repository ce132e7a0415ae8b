import MemoryPrimitives

/// What a report writes, as text.
///
///     var text = ReportText()
///     BuddyInfoReport.write(frames.value, to: &text)
///     print(text.text, terminator: "")
public struct ReportText: ReportWriter {
    private var bytes: [UInt8] = []

    /// Nothing yet.
    public init() {}

    /// Takes the next byte of the report.
    public mutating func write(_ byte: UInt8) { bytes.append(byte) }

    /// All that was written so far.
    public var text: String { String(decoding: bytes, as: UTF8.self) }
}
