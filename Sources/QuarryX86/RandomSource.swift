import X86

/// Random bits: the CPU's own generator where it has one, otherwise the time stamp counter stirred.
///
/// Without RDRAND the result is not secret; docs/caveats.md says so, and bring-up warns.
public enum RandomSource {
    nonisolated(unsafe) private static var hasHardware = false
    nonisolated(unsafe) private static var state: UInt64 = 0x9e37_79b9_7f4a_7c15

    /// Whether all bits so far came from the CPU's own generator.
    public private(set) nonisolated(unsafe) static var isSecret = false

    public static func start(hasHardware: Bool) {
        unsafe Self.hasHardware = hasHardware
        unsafe isSecret = hasHardware
    }

    public static func next() -> UInt64 {
        if unsafe hasHardware {
            var value: UInt64 = 0
            // Intel's guide: ten tries before the generator counts as broken (Software Implementation Guide, 5.2.1).
            for _ in 0..<10 { if unsafe x86_read_random(&value) { return value } }
        }
        unsafe isSecret = false
        // SplitMix64's step over a state that time has stirred.
        unsafe state = (state ^ x86_read_time_stamp()) &+ 0x9e37_79b9_7f4a_7c15
        var mixed = unsafe state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }

    public static func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        var bits: UInt64 = 0
        for index in buffer.indices {
            if index & 7 == 0 { bits = next() }
            unsafe buffer[index] = UInt8(truncatingIfNeeded: bits)
            bits >>= 8
        }
    }
}

/// What `arc4random_buf` of boot/runtime.c asks, for the Swift runtime.
@c(swift_runtime_fill_random)
func swiftRuntimeFillRandom(buffer: UInt, size: UInt) {
    // The runtime passes a buffer of its own of that size.
    unsafe RandomSource.fill(
        UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(bitPattern: buffer), count: Int(size)))
}
