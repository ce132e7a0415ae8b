import HostSupport
import WorkloadSupport

/// Slots that hold a block each and are given another one at random: workloads A and D2.
@safe
struct MixedWorkload<Source: FrameSource>: ~Copyable {
    private let source: Source
    private let slotCount: Int
    private let highestOrder: Int
    // slotCount entries each, written by the fill before they are read; frame 0 stands for no block.
    private let frames: UnsafeMutablePointer<UInt>
    private let orders: UnsafeMutablePointer<Int>
    private(set) var generator = Generator()
    private(set) var refused = 0

    /// Fills every slot.
    init(_ source: Source, slots: Int, highestOrder: Int) {
        self.source = source
        slotCount = slots
        self.highestOrder = highestOrder
        unsafe frames = UnsafeMutablePointer.allocate(capacity: slots)
        unsafe orders = UnsafeMutablePointer.allocate(capacity: slots)
        for slot in 0..<slots { put(in: slot) }
    }

    deinit {
        unsafe frames.deallocate()
        unsafe orders.deallocate()
    }

    /// Gives back what a random slot holds and puts a block of a random order there, `count` times.
    @inline(__always)
    mutating func step(_ count: Int) {
        for _ in 0..<count {
            let slot = generator.below(slotCount)
            let frame = unsafe frames[slot]
            if frame != 0 { unsafe source.free(frame, order: orders[slot]) }
            put(in: slot)
        }
    }

    @inline(__always)
    private mutating func put(in slot: Int) {
        let order = generator.order(upTo: highestOrder)
        let frame = source.allocate(order: order)
        unsafe frames[slot] = frame
        unsafe orders[slot] = order
        if frame == 0 { refused += 1 }
    }
}

/// Workload A: blocks of all orders, half of them of one frame.
enum MixedBlocks {
    static let unmeasured = 50_000
    static let measured = 500_000

    /// - Parameter draws: what the workload must have drawn when it ends.
    /// - Returns: how many requests were refused.
    @inline(never)
    @discardableResult
    static func run(_ label: StaticString, _ draws: MixedDraws, _ source: some FrameSource) -> Int {
        var workload = MixedWorkload(source, slots: draws.slots, highestOrder: 10)
        workload.step(unmeasured)
        measure(label, operations: measured) { workload.step(measured) }
        expect(workload.generator.state == draws.endState, "the draws of workload A when it ended")
        return workload.refused
    }
}
