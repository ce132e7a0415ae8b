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
        if unsafe top >= capacity { return }
        // What is written belongs to the message before it is there: an exception in between begins behind it.
        unsafe top &+= 1
        unsafe bytes[top &- 1] = byte
    }

    /// Appends text, as far as there is room.
    static func append(_ text: UnsafeBufferPointer<UInt8>) {
        guard let source = text.baseAddress else { return }
        let count = unsafe min(text.count, capacity &- top)
        let start = unsafe top
        unsafe top &+= count
        // Within the bytes, and nobody else's: the text lies elsewhere.
        unsafe UnsafeMutableRawPointer(memory + start).copyMemory(from: source, byteCount: count)
    }

    /// Appends `count` bytes that `fill` writes; nothing where there is no room for all of them.
    @inline(__always)
    static func append(count: Int, _ fill: (UnsafeMutablePointer<UInt8>) -> Void) {
        let start = unsafe top
        if start &+ count > capacity { return }
        unsafe top &+= count
        unsafe fill(memory + start)
    }

    /// What has been appended since `mark`; valid until it is discarded.
    static func bytes(from mark: Int) -> UnsafeBufferPointer<UInt8> {
        unsafe UnsafeBufferPointer(start: memory + mark, count: top &- mark)
    }

    /// Forgets what has been appended since `mark`.
    static func discard(to mark: Int) { unsafe top = mark }

    /// A global's address does not change.
    private static var memory: UnsafeMutablePointer<UInt8> {
        unsafe withUnsafeMutablePointer(to: &bytes) { UnsafeMutableRawPointer($0) }
            .assumingMemoryBound(to: UInt8.self)
    }

    /// Forgets every unfinished message, for a fatal report that may have come in the middle of one.
    static func reset() { unsafe top = 0 }
}
