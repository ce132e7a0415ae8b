import MemoryPrimitives
import X86

/// The last 64 KiB of the log, every line of it, also of those that `loglevel=` keeps from the serial line: for `dmesg`,
/// and for a debugger, which finds it by the names in boot/log.S.
///
///     log_ring_end      bytes that were ever written
///     log_ring_start    bytes that are gone; the next one begins a line
///     byte n of the log, start <= n < end, lies at log_ring + n % 65536; each line ends with a line feed
///
/// What writes is this CPU alone. An exception in the midst of a line writes its own behind as much of it as is there.
enum LogRing {
    /// A power of two, as boot/log.S has it.
    static var capacity: UInt { 1 << 16 }

    /// How many bytes were ever written.
    static var end: UInt { UInt(x86_load64(log_ring_end_address())) }

    /// Which of them is the first that is still there.
    static var start: UInt { UInt(x86_load64(log_ring_start_address())) }

    /// The byte at a place from `start` up to `end`.
    static func byte(at place: UInt) -> UInt8 { x86_load8(log_ring_address() &+ place & (capacity &- 1)) }

    /// Writes a line of two parts, which together are no longer than `LineBuffer` is.
    @inline(never)
    static func append(_ first: UnsafeBufferPointer<UInt8>, _ second: UnsafeBufferPointer<UInt8>) {
        let count = UInt(bitPattern: first.count &+ second.count)
        let place = reserve(count &+ 1)
        unsafe copy(first, to: place)
        unsafe copy(second, to: place &+ UInt(bitPattern: first.count))
        x86_store8(log_ring_address() &+ (place &+ count) & (capacity &- 1), UInt8(ascii: "\n"))
    }

    /// Copies text to a place, where it goes beyond the ring's end on from its beginning.
    @inline(__always)
    private static func copy(_ text: UnsafeBufferPointer<UInt8>, to place: UInt) {
        guard let source = text.baseAddress else { return }
        let count = UInt(bitPattern: text.count)
        let offset = place & (capacity &- 1)
        let first = min(count, capacity &- offset)
        // Within the ring, and both parts within the text.
        unsafe x86_copy_bytes(log_ring_address() &+ offset, source, first)
        if first < count { unsafe x86_copy_bytes(log_ring_address(), source + Int(first), count &- first) }
    }

    /// Takes the next bytes, for which the oldest lines go. They are counted before they are there: an exception in between
    /// writes behind them. - Returns: the place of the first.
    @inline(__always)
    private static func reserve(_ count: UInt) -> UInt {
        let place = end
        x86_store64(log_ring_end_address(), UInt64(place &+ count))
        if place &+ count &- start > capacity { dropLines(upTo: place &+ count &- capacity) }
        return place
    }

    /// Has the log begin with the first line that lies wholly behind `place`.
    @inline(never)
    private static func dropLines(upTo place: UInt) {
        var start = place
        // What is overwritten is text still: the end of the line that `place` lies in is looked for.
        while start < end, byte(at: start &- 1) != UInt8(ascii: "\n") { start &+= 1 }
        x86_store64(log_ring_start_address(), UInt64(start))
    }
}
