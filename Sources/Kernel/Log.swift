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

/// The log on the serial line and in `LogRing`: one line an event, `[   1234567] info    text`.
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
        // What follows the message in the buffer: nothing.
        write(from: message.mark, to: LineBuffer.mark, isShown: true)
    }

    @inline(never)
    private static func write(_ level: LogLevel, _ message: LogMessage) {
        let isShown = unsafe level <= Self.level
        let prefix: LogMessage = "[\(UInt(now), width: 12)] \(level.label) "
        write(from: message.mark, to: prefix.mark, isShown: isShown)
    }

    /// Writes a line, to the ring and where it is to be shown to the serial line: what stands in the buffer behind `end`, and
    /// then the message from `mark` up to it.
    @inline(__always)
    private static func write(from mark: Int, to end: Int, isShown: Bool) {
        // The ring and the port have done with the bytes when they return.
        let prefix = unsafe LineBuffer.bytes(from: end)
        let message = unsafe UnsafeBufferPointer(rebasing: LineBuffer.bytes(from: mark)[..<(end &- mark)])
        unsafe LogRing.append(prefix, message)
        if isShown {
            unsafe SerialPort.write(prefix)
            unsafe SerialPort.write(message)
            SerialPort.write(UInt8(ascii: "\r"))
            SerialPort.write(UInt8(ascii: "\n"))
        }
        LineBuffer.discard(to: mark)
    }
}
