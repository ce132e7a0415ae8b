import MemoryPrimitives
import Monitor

/// What the monitor's commands say: lines on the serial line, which are no part of the log.
enum MonitorOutput {
    static func line(_ message: LogMessage) {
        // The port has done with the bytes when it returns.
        unsafe SerialPort.write(LineBuffer.bytes(from: message.mark))
        LineBuffer.discard(to: message.mark)
        SerialPort.write(UInt8(ascii: "\r"))
        SerialPort.write(UInt8(ascii: "\n"))
    }
}

extension LogMessage.Interpolation {
    /// What was typed; bytes that are not printable ASCII show as `?`.
    mutating func appendInterpolation(_ text: LineText) { unsafe appendInterpolation(text.rawBytes) }
}
