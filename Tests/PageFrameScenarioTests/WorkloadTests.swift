import FuzzTargets
import MemoryPrimitives
import FuzzTargets
import Testing

@testable import PageFrames

/// The random numbers of the host workloads, the same for every allocator that was measured with them: xorshift64*.
private struct Draws {
    private var state: UInt64 = 0x9e37_79b9_7f4a_7c15
    /// FNV-1a over what was noted.
    private(set) var checksum: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_f491_4f6c_dd1d
    }

    mutating func below(_ limit: Int) -> Int { note(Int(((next() >> 32) &* UInt64(limit)) >> 32)) }

    mutating func order(upTo highest: Int) -> Int { note(min(next().leadingZeroBitCount, highest)) }

    private mutating func note(_ value: Int) -> Int {
        checksum = (checksum ^ UInt64(value)) &* 0x100_0000_01b3
        return value
    }
}

/// Slots that hold a block each and are given another one at random, every call compared with a record of all frames.
private struct MixedWorkload {
    let frames: CheckedFrames
    let highestOrder: Int
    private(set) var draws = Draws()
    private(set) var slots: [UInt?]
    private(set) var refused = 0
    private(set) var requestedByFill: UInt = 0

    /// Fills every slot.
    init(_ frames: CheckedFrames, slots count: Int, highestOrder: Int) throws {
        self.frames = frames
        self.highestOrder = highestOrder
        slots = Array(repeating: nil, count: count)
        for slot in 0..<count { requestedByFill += 1 << UInt(try put(in: slot)) }
        try frames.check()
    }

    /// Gives back what a random slot holds and puts a block of a random order there.
    mutating func run(steps: Int, checkedEvery interval: Int) throws {
        for step in 1...steps {
            let slot = draws.below(slots.count)
            if let frame = slots[slot] { try frames.release(frame) }
            try put(in: slot)
            if step % interval == 0 { try frames.check() }
        }
    }

    @discardableResult
    private mutating func put(in slot: Int) throws -> Int {
        let order = draws.order(upTo: highestOrder)
        slots[slot] = try frames.allocate(order: order)
        if slots[slot] == nil { refused += 1 }
        return order
    }

    /// Gives everything back: memory must be what it was.
    mutating func end() throws {
        for case .some(let frame) in slots { try frames.release(frame) }
        slots = []
        try frames.check()
        frames.machine.run { $0.drainFrameCaches() }
        try frames.check()
        let found = frames.machine.statistics(.normal)
        let expected = frames.free.freeBlocks()
        #expect((0...10).map { found.freeBlocks[$0] } == expected)
        #expect(frames.free == FrameSet(frames.machine.handedOver))
        // All but the section that the metadata lies in is whole.
        #expect(found.freeBlocks[10] == 127)
    }
}

/// The host workloads of Benchmarks/, shorter, as tests of invariants: 512 MiB of one zone. What they draw is compared
/// with checksums that another program computed, so that they are the workloads that others were measured with.
@Suite struct WorkloadTests {
    static let start: UInt = 1 << 20

    private func makeFrames(frameCaches: Bool) throws -> CheckedFrames {
        let machine = try ScenarioMachine(memory: [Self.start..<Self.start + 131_072], frameCaches: frameCaches)
        return CheckedFrames(machine)
    }

    @Test func draws() {
        var draws = Draws()
        let first = (0..<4).map { _ in draws.next() }
        #expect(first == [0x0d83_b3e2_9a21_487a, 0x54c4_4c79_f1fe_9d67, 0xa845_f342_007a_0e78, 0x7d6e_0b87_8a79_4779])
        draws = Draws()
        let orders = (0..<16).map { _ in draws.order(upTo: 10) }
        #expect(orders == [4, 1, 0, 1, 0, 0, 0, 1, 0, 0, 10, 0, 2, 0, 3, 1])
    }

    struct Mixed: Sendable, CustomTestStringConvertible {
        var slots: Int
        var fill: UInt
        var checksumOfFill: UInt64
        /// After 30000 steps.
        var checksum: UInt64
        var testDescription: String { "\(slots) slots" }
    }

    /// Workload A: blocks of all orders. What 20000 slots ask for is more than there is.
    @Test(
        arguments: [
            Mixed(
                slots: 10_000, fill: 67_502, checksumOfFill: 0xffd3_5dd6_ae97_f309, checksum: 0x48f0_ebaa_91ea_553e),
            Mixed(
                slots: 20_000, fill: 135_933, checksumOfFill: 0x4a83_7b55_ee9b_eed3, checksum: 0x3e21_e25d_8cb6_1500),
        ], [true, false])
    func mixedBlocks(_ mixed: Mixed, frameCaches: Bool) throws {
        let frames = try makeFrames(frameCaches: frameCaches)
        var workload = try MixedWorkload(frames, slots: mixed.slots, highestOrder: 10)
        #expect(workload.requestedByFill == mixed.fill)
        #expect(workload.draws.checksum == mixed.checksumOfFill)
        try workload.run(steps: 30_000, checkedEvery: 10_000)
        #expect(workload.draws.checksum == mixed.checksum)
        if mixed.slots == 10_000 { #expect(workload.refused == 0) } else { #expect(workload.refused > 0) }
        try workload.end()
    }

    struct Fragmentation: Sendable, CustomTestStringConvertible {
        var percent: Int
        /// After 30000 steps.
        var checksum: UInt64
        var testDescription: String { "\(percent) %" }
    }

    /// Workload D2: blocks of orders 0 to 3 that take a share of memory. In the end all of it is whole again.
    @Test(arguments: [
        Fragmentation(percent: 50, checksum: 0x5298_0698_0486_3c46),
        Fragmentation(percent: 80, checksum: 0x36c4_3627_4d20_10fb),
        Fragmentation(percent: 95, checksum: 0x1992_e5aa_ff1d_72af),
    ])
    func fragmentation(_ load: Fragmentation) throws {
        let frames = try makeFrames(frameCaches: true)
        var workload = try MixedWorkload(frames, slots: load.percent * 131_072 * 2 / 500, highestOrder: 3)
        try workload.run(steps: 30_000, checkedEvery: 15_000)
        #expect(workload.draws.checksum == load.checksum)
        #expect(workload.refused == 0)
        try workload.end()
    }
}
