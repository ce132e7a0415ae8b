import MemoryPrimitives

/// A report as text.
struct ReportText: ReportWriter {
    private var bytes: [UInt8] = []

    init(_ fill: (inout ReportText) -> Void) { fill(&self) }

    mutating func write(_ byte: UInt8) { bytes.append(byte) }

    var text: String { String(decoding: bytes, as: UTF8.self) }
    var lines: [String] { text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) }
}
