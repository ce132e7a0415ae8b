import Foundation
import MemoryPrimitives
import SimulatedMachine
import Synchronization
import TestSupport
import Testing

@testable import PageFrames

/// The scenarios of LLFree's tests, with a thread for each CPU.
@Suite struct ManyCPUScenarioTests {
    static let cpuCount = 4

    /// What a thread does with its CPU.
    struct CPU: Sendable {
        let number: Int
        let machine: ScenarioMachine

        func allocate(order: Int, flags: AllocationFlags = .noWait | .noWarn) -> UInt? {
            machine.frames.value.allocate(order: order, flags: flags)?.rawValue
        }

        func free(_ frame: UInt, order: Int) { machine.frames.value.free(PageFrameNumber(frame), order: order) }

        /// Writes a mark into every frame of a block.
        func mark(_ frame: UInt, order: Int, _ mark: UInt64) {
            for index in frame..<frame + 1 << UInt(order) {
                word(index).storeBytes(of: mark &+ UInt64(index), as: UInt64.self)
            }
        }

        /// Whether the mark is still there.
        func isMarked(_ frame: UInt, order: Int, _ mark: UInt64) -> Bool {
            (frame..<frame + 1 << UInt(order)).allSatisfy { word($0).load(as: UInt64.self) == mark &+ UInt64($0) }
        }

        private func word(_ frame: UInt) -> UnsafeMutableRawPointer {
            machine.machine.arena.directMap.pointer(to: PageFrameNumber(frame))
        }

        /// Takes single frames until there are none, each marked as this CPU's.
        func takeAll() -> [UInt] {
            var all: [UInt] = []
            while let frame = allocate(order: 0) {
                mark(frame, order: 0, UInt64(number))
                all.append(frame)
            }
            return all
        }
    }

    /// Runs `body` on a thread for each CPU. - Returns: what each one returned.
    private func onAllCPUs<Result: Sendable>(
        of machine: ScenarioMachine, _ body: @escaping @Sendable (CPU) -> Result
    ) -> [Result] {
        let results = HostLock<[Int: Result]>([:])
        machine.machine.onAllCPUs { number in
            let result = body(CPU(number: number, machine: machine))
            results.withLock { $0[number] = result }
        }
        return results.withLock { results in (0..<Self.cpuCount).map { results[$0]! } }
    }

    /// Two zones, neither of which ends with a section.
    private func makeMachine() throws -> ScenarioMachine {
        try ScenarioMachine(memory: [1..<159, 256..<6144 - 57], cpuCount: Self.cpuCount, frameCaches: true)
    }

    /// Everything is free, whole and where it was.
    private func checkEmpty(_ machine: ScenarioMachine) throws {
        #expect(machine.freeFrames == machine.handedOverCount)
        machine.run { $0.drainFrameCaches() }
        let all = CheckedFrames(machine)
        try all.check()
        var blocks = Array(repeating: UInt(0), count: 11)
        for kind in [ZoneKind.dma, .dma32, .normal] {
            let found = machine.statistics(kind).freeBlocks
            for order in 0...10 { blocks[order] += found[order] }
        }
        #expect(blocks == all.free.freeBlocks())
    }

    /// What was taken is every frame, once.
    private func expectEveryFrame(_ taken: [UInt], _ machine: ScenarioMachine) throws {
        #expect(taken.sorted() == machine.handedOver.flatMap { Array($0) })
        #expect(machine.freeFrames == 0)
        try machine.run { try $0.checkInvariants() }
    }

    /// alloc_all: one CPU takes every frame, although others exist.
    @Test func allocAll() throws {
        let machine = try makeMachine()
        let frames = CheckedFrames(machine)
        while try frames.allocate(order: 0) != nil {}
        try expectEveryFrame(Array(frames.live.keys), machine)
        try frames.check()
        for frame in frames.live.keys.sorted() { try frames.release(frame) }
        try frames.check()
        try checkEmpty(machine)
    }

    /// parallel_alloc_all: all CPUs take single frames until there are none. Each frame is had by exactly one; none
    /// stays behind in the cache of a CPU that has given up.
    @Test func parallelAllocAll() throws {
        let machine = try makeMachine()
        let taken = onAllCPUs(of: machine) { $0.takeAll() }
        try expectEveryFrame(taken.flatMap { $0 }, machine)
        let intact = onAllCPUs(of: machine) { cpu in
            let own = taken[cpu.number]
            let intact = own.allSatisfy { cpu.isMarked($0, order: 0, UInt64(cpu.number)) }
            for frame in own { cpu.free(frame, order: 0) }
            return intact
        }
        #expect(intact.allSatisfy { $0 })
        try checkEmpty(machine)
    }

    /// less_mem: memory that is no multiple of a section or a page block, down to a few frames.
    @Test(arguments: [1, 7, 63, 511, 513, 1023, 1025, 1536, 2047, 3001] as [UInt]) func lessMemory(size: UInt) throws {
        for start: UInt in [4096, 4096 + 1, 4096 + 512 - 3, 5120 - 1] {
            // The metadata goes to the end; a little is left over there.
            let machine = try ScenarioMachine(
                memory: [start..<start + size, 9216..<9216 + 60], cpuCount: Self.cpuCount, frameCaches: true)
            let frames = CheckedFrames(machine)
            for order in (0...10).reversed() { while try frames.allocate(order: order) != nil {} }
            #expect(frames.free.count == 0)
            try frames.check()
            for frame in frames.live.keys { try frames.release(frame) }
            try checkEmpty(machine)

            let taken = onAllCPUs(of: machine) { $0.takeAll() }
            try expectEveryFrame(taken.flatMap { $0 }, machine)
            _ = onAllCPUs(of: machine) { cpu in for frame in taken[cpu.number] { cpu.free(frame, order: 0) } }
            try checkEmpty(machine)
        }
    }

    /// parallel_free: each CPU frees what another one allocated.
    @Test(arguments: 0...4) func parallelFree(order: Int) throws {
        let machine = try makeMachine()
        let taken = onAllCPUs(of: machine) { cpu in
            var own: [UInt] = []
            while own.count << order < 1200, let frame = cpu.allocate(order: order) {
                cpu.mark(frame, order: order, UInt64(cpu.number))
                own.append(frame)
            }
            return own
        }
        #expect(taken.allSatisfy { $0.count << order >= 1200 })
        let intact = onAllCPUs(of: machine) { cpu in
            let owner = (cpu.number + 1) % Self.cpuCount
            let intact = taken[owner].allSatisfy { cpu.isMarked($0, order: order, UInt64(owner)) }
            // Forth on some, back on others.
            for frame in owner % 2 == 0 ? taken[owner] : taken[owner].reversed() { cpu.free(frame, order: order) }
            return intact
        }
        #expect(intact.allSatisfy { $0 })
        #expect(machine.takeKinds().isEmpty)
        try checkEmpty(machine)
    }

    /// drain: what one CPU's cache holds is another's once it is drained.
    @Test func drain() throws {
        let machine = try makeMachine()
        func cached() -> UInt { machine.statistics(.dma).cachedFrames + machine.statistics(.dma32).cachedFrames }
        machine.machine.run(onCPU: 2) {
            let cpu = CPU(number: 2, machine: machine)
            for order in 0...3 { cpu.allocate(order: order).map { cpu.free($0, order: order) } }
        }
        let before = cached()
        #expect(before > 0)
        // Draining another CPU's does nothing for it; a drained one is whole again.
        machine.run(onCPU: 1) { $0.drainFrameCache(ofCPU: 0) }
        #expect(cached() == before)
        machine.run(onCPU: 1) { $0.drainFrameCache(ofCPU: 2) }
        #expect(cached() == 0)
        try checkEmpty(machine)
    }

    /// drain, by need: frames in the cache of a CPU that is idle go to whoever finds no others.
    @Test func drainByNeed() throws {
        let machine = try makeMachine()
        let idle = machine.machine.run(onCPU: 3) { CPU(number: 3, machine: machine).allocate(order: 0) }
        let frame = try #require(idle)
        machine.run(onCPU: 3) { $0.free(PageFrameNumber(frame), order: 0) }
        let taken = machine.machine.run(onCPU: 0) { CPU(number: 0, machine: machine).takeAll() }
        try expectEveryFrame(taken, machine)
    }

    /// A block that a thread has, and its mark.
    struct Block: Sendable {
        let frame: UInt
        let order: Int
        let mark: UInt64
    }

    /// stress: all CPUs allocate and free at random, orders 0 to 10 of all mobilities, from below and with promises.
    /// Some blocks are freed by another CPU. Contents are checked at each free, everything at the end.
    @Test func stress() throws {
        let seeded = SeededGenerator.fromEnvironment(default: 0x5eed_0102)
        let machine = try makeMachine()
        let passedOn = HostLock<[Block]>([])
        let damaged = Atomic<Int>(0)
        let allocations = Atomic<Int>(0)
        _ = onAllCPUs(of: machine) { cpu in
            var generator = seeded.forCPU(cpu.number)
            var live: [Block] = []
            func give(_ block: Block) {
                if !cpu.isMarked(block.frame, order: block.order, block.mark) { damaged.add(1, ordering: .relaxed) }
                cpu.free(block.frame, order: block.order)
            }
            func take(_ frame: UInt?, order: Int) {
                guard let frame else { return }
                let mark = generator.next()
                cpu.mark(frame, order: order, mark)
                live.append(Block(frame: frame, order: order, mark: mark))
                allocations.add(1, ordering: .relaxed)
            }
            for _ in 0..<5000 {
                let choice = Int.random(in: 0..<100, using: &generator)
                switch choice {
                case 0..<45:
                    let order = min(generator.next().leadingZeroBitCount, 10)
                    let kinds: [AllocationFlags] = [
                        .kernel, .atomic, .userMovable, .kernel | .reclaimable, .atomic | .dma,
                    ]
                    let kind = kinds.randomElement(using: &generator)!
                    take(cpu.allocate(order: order, flags: kind | .noWarn), order: order)
                case 45..<48:
                    guard machine.frames.value.promise(frames: 2) else { continue }
                    let frame = machine.frames.value.allocatePromised()?.rawValue
                    if frame == nil { damaged.add(1, ordering: .relaxed) }
                    take(frame, order: 0)
                    machine.frames.value.withdrawPromise(frames: 1)
                case 48:
                    machine.frames.value.drainFrameCaches()
                case 49..<60:
                    // Passed on to whoever comes next.
                    if let block = live.popLast() { passedOn.withLock { $0.append(block) } }
                case 60..<70:
                    if let block = passedOn.withLock({ $0.popLast() }) { give(block) }
                default:
                    guard !live.isEmpty else { continue }
                    live.swapAt(Int.random(in: 0..<live.count, using: &generator), live.count - 1)
                    give(live.removeLast())
                }
            }
            for block in live { give(block) }
        }
        machine.machine.run {
            let cpu = CPU(number: 0, machine: machine)
            for block in passedOn.withLock({ $0 }) { cpu.free(block.frame, order: block.order) }
        }
        #expect(damaged.load(ordering: .relaxed) == 0)
        #expect(allocations.load(ordering: .relaxed) > 2000)
        #expect(machine.takeKinds().isEmpty)
        try checkEmpty(machine)
    }
}
