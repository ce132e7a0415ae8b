import MemoryPrimitives

/// How much is free in a zone, by mobility and order. Kept in memory of its own, so that the zone's state stays small.
@safe
struct FreeCounts: ~Copyable {
    /// For each mobility the frames, if it sets page blocks aside; then for each the blocks of each order.
    private let counts: UnsafeMutablePointer<UInt>

    private static var frameCounts: Int { 8 }
    private static var ordersPerMobility: Int { 16 }

    /// The bytes that the counts take.
    static var byteCount: Int { (frameCounts + Mobility.count * ordersPerMobility) * 8 }

    /// - Parameter memory: `byteCount` bytes, aligned to 8, never given back.
    @unsafe
    init(in memory: UnsafeMutableRawPointer) {
        unsafe counts = memory.bindMemory(to: UInt.self, capacity: Self.byteCount / 8)
        unsafe counts.initialize(repeating: 0, count: Self.byteCount / 8)
    }

    /// Free frames in page blocks of `mobility`. - Complexity: O(orders).
    func frames(_ mobility: Mobility) -> UInt {
        var frames: UInt = 0
        for order in 0...BlockOrder.highest { frames += blocks(order: order, mobility) << UInt(order) }
        return frames
    }

    /// Free frames in page blocks that are set aside: `contiguous` and `isolated`. - Complexity: O(1).
    @inline(__always)
    func setAsideFrames(_ mobility: Mobility) -> UInt {
        // There is a count for each mobility.
        unsafe counts[Int(mobility.rawValue)]
    }

    /// Free blocks of `order`, 0 to 10, in page blocks of `mobility`.
    @inline(__always)
    func blocks(order: Int, _ mobility: Mobility) -> UInt {
        // There are 16 counts for each mobility.
        unsafe counts[Self.place(order, mobility)]
    }

    /// Notes that so many more frames are free, where that must be known at once: of page blocks that are set aside.
    @inline(__always)
    func addFrames(_ change: Int, _ mobility: Mobility) {
        if mobility.rawValue < Mobility.contiguous.rawValue { return }
        // As above.
        unsafe counts[Int(mobility.rawValue)] &+= UInt(bitPattern: change)
    }

    @inline(__always)
    func addBlocks(_ change: Int, order: Int, _ mobility: Mobility) {
        // As above.
        unsafe counts[Self.place(order, mobility)] &+= UInt(bitPattern: change)
    }

    /// Where the counts are, for a debugger.
    var address: UInt { unsafe UInt(bitPattern: counts) }

    /// Notes down for a debugger how the counts of blocks are found: in words, from `address` on.
    static func writeDebuggerNotes(to notes: inout DebuggerNotes) {
        notes.note("free_counts.first", frameCounts)
        notes.note("free_counts.orders_stride", ordersPerMobility)
        notes.note("free_counts.mobilities", Mobility.count)
        notes.note("free_counts.orders", BlockOrder.count)
    }

    @inline(__always)
    private static func place(_ order: Int, _ mobility: Mobility) -> Int {
        frameCounts &+ Int(mobility.rawValue) &* ordersPerMobility &+ order
    }
}
