/// Where log messages take shape: a stack of bytes in static memory, so that formatting needs neither the heap nor room
/// on the caller's stack.
///
/// A message begins at the top, grows while its parts are appended, and is popped when it is written. A message that is
/// made while another is being made (a log line in a function that an interpolation calls, an exception in between)
/// begins where that one stands and is gone before it goes on.
///
/// One CPU runs the kernel. With more, this becomes per-CPU: everything here is already safe from interrupts by the
/// stack discipline alone.
enum LineBuffer {
    /// Longer messages are cut.
    static let capacity = 2048

    nonisolated(unsafe) private static var bytes = InlineArray<2048, UInt8>(repeating: 0)
    nonisolated(unsafe) private static var top = 0

    /// The place where a new message begins.
    static var mark: Int { unsafe top }

    static func append(_ byte: UInt8) {
        if unsafe top < capacity {
            unsafe bytes[top] = byte
            unsafe top += 1
        }
    }

    /// Writes what has been appended since `mark` and forgets it.
    static func pop(to mark: Int, _ write: (UInt8) -> Void) {
        var index = mark
        while unsafe index < top {
            unsafe write(bytes[index])
            index += 1
        }
        unsafe top = mark
    }

    /// Forgets every unfinished message, for a fatal report that may have come in the middle of one.
    static func reset() { unsafe top = 0 }
}
