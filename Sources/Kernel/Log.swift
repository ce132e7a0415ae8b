import X86

/// How much a line matters; `loglevel=N` shows lines up to level N.
enum LogLevel: UInt8, Comparable {
    case fatal = 0
    case error = 3
    case warning = 4
    case info = 6
    case debug = 7

    static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }

    /// The most talkative level that `loglevel=number` shows, as Linux numbers them.
    init(number: UInt) {
        switch number {
        case 0...2: self = .fatal
        case 3: self = .error
        case 4...5: self = .warning
        case 6: self = .info
        default: self = .debug
        }
    }

    var label: StaticString {
        switch self {
        case .fatal: "fatal  "
        case .error: "error  "
        case .warning: "warning"
        case .info: "info   "
        case .debug: "debug  "
        }
    }
}

/// The serial log: one line an event, `[   1234567] info    text`.
///
/// The number is the time stamp counter since the kernel's entry: cycles, or instructions under `-icount shift=0`.
enum Log {
    nonisolated(unsafe) static var level = LogLevel.info
    nonisolated(unsafe) static var startTime: UInt64 = 0

    /// Ticks since the kernel's entry.
    static var now: UInt64 { unsafe x86_read_time_stamp() &- startTime }

    static func debug(_ message: LogMessage) { write(.debug, message) }
    static func info(_ message: LogMessage) { write(.info, message) }
    static func warning(_ message: LogMessage) { write(.warning, message) }
    static func error(_ message: LogMessage) { write(.error, message) }
    static func fatal(_ message: LogMessage) { write(.fatal, message) }

    /// A line without time and level, for tables within a report and for the last line.
    static func plain(_ message: LogMessage) {
        write(from: message.mark)
        endLine()
    }

    @inline(never)
    private static func write(_ level: LogLevel, _ message: LogMessage) {
        if unsafe level > Self.level {
            return LineBuffer.discard(to: message.mark)
        }
        let prefix: LogMessage = "[\(UInt(now), width: 12)] \(level.label) "
        write(from: prefix.mark)
        write(from: message.mark)
        endLine()
    }

    /// Writes the message that begins at `mark`, and nothing else has come after.
    private static func write(from mark: Int) {
        // The port has done with the bytes when it returns.
        unsafe SerialPort.write(LineBuffer.bytes(from: mark))
        LineBuffer.discard(to: mark)
    }

    private static func endLine() {
        SerialPort.write(UInt8(ascii: "\r"))
        SerialPort.write(UInt8(ascii: "\n"))
    }
}
