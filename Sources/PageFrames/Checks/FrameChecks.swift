import MemoryPrimitives

/// What is checked of page frames beyond what always is; chosen at boot, because it costs.
public struct FrameChecks: FlagSet, Sendable {
    /// The checks as bits.
    public var rawValue: UInt32

    /// The checks of these bits.
    @inline(__always)
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Freed frames are filled with a pattern, which must still be there when they are handed out again
    /// (`page_poison=1`). Costs a write of every frame freed and a read of every frame allocated.
    @inline(__always) public static var poison: FrameChecks { FrameChecks(rawValue: 1) }
    /// Frames are zeroed when they are handed out, whoever asks (`init_on_alloc=1`).
    @inline(__always) public static var zeroOnAllocation: FrameChecks { FrameChecks(rawValue: 2) }
    /// Frames are zeroed when they are freed (`init_on_free=1`). With `poison` that fills them instead, as in Linux.
    @inline(__always) public static var zeroOnFree: FrameChecks { FrameChecks(rawValue: 4) }
    /// Who allocated and who freed each frame is noted down, with their callers (`page_owner=on`). Costs 3.9 % of memory
    /// and a write of 160 bytes for each frame of a block.
    @inline(__always) public static var owners: FrameChecks { FrameChecks(rawValue: 8) }
    /// Behind each block lies as much memory that nobody has, whose pattern must still be there when the block is freed
    /// (`debug_guardpage`). Costs half of memory.
    @inline(__always) public static var guardPages: FrameChecks { FrameChecks(rawValue: 16) }

    /// Each allocation and each free is traced. No choice at boot, as the next two.
    @inline(__always) static var tracing: FrameChecks { FrameChecks(rawValue: 1 << 29) }
    /// Somebody is told of each allocation. No choice at boot either, as the next.
    @inline(__always) static var watcher: FrameChecks { FrameChecks(rawValue: 1 << 30) }
    /// A request is to fail on purpose. No choice at boot, but the same things must give way for it.
    @inline(__always) static var failureInjection: FrameChecks { FrameChecks(rawValue: 1 << 31) }
}
