import Foundation
import MemoryPrimitives
import SimulatedMachine
import Synchronization
import Testing

@testable import PageFrames

/// Several CPUs at once. Each writes its mark into every frame that it has, and finds it there when it gives it back.
@Suite struct ConcurrencyTests {
    static let cpuCount = 4

    /// Runs `body` on a thread for each CPU and waits for all of them.
    private func onAllCPUs(of machine: FrameMachine, _ body: @escaping @Sendable (Int) -> Void) {
        let done = DispatchSemaphore(value: 0)
        for cpu in 0..<Self.cpuCount {
            let thread = Thread {
                machine.machine.run(onCPU: cpu) { body(cpu) }
                done.signal()
            }
            thread.start()
        }
        for _ in 0..<Self.cpuCount { done.wait() }
    }

    @Test func noFrameHasTwoOwners() throws {
        let seeded = SeededGenerator.fromEnvironment(default: 0x5eed_0004)
        let machine = try AllocationTests.threeZones(cpuCount: Self.cpuCount)
        let before = machine.snapshot()
        let errors = Atomic<Int>(0)
        onAllCPUs(of: machine) { cpu in
            var generator = seeded.forCPU(cpu)
            let frames = machine.permanent
            let map = machine.machine.arena.directMap
            let mark = UInt64(cpu) + 1
            var live: [(frame: PageFrameNumber, order: Int)] = []
            func giveBack(_ index: Int) {
                let block = live.remove(at: index)
                for offset in 0..<UInt(1) << UInt(block.order) {
                    if map.pointer(to: block.frame + offset).load(as: UInt64.self) != mark {
                        errors.add(1, ordering: .relaxed)
                    }
                }
                frames.value.free(block.frame, order: block.order)
            }
            for step in 0..<6000 {
                let choice = generator.next() % 100
                var found: (frame: PageFrameNumber, order: Int)?
                if choice < 45 {
                    let order = Int(generator.next() % 6)
                    let flags: AllocationFlags = [.kernel, [.kernel, .dma32], [.atomic, .dma]][
                        Int(generator.next() % 3)]
                    found = frames.value.allocate(order: order, flags: flags).map { ($0, order) }
                } else if choice < 60, frames.value.promise(frames: 3) {
                    // One is called upon at once and the others are withdrawn, amid the other CPUs' promises.
                    if let frame = frames.value.allocatePromised() {
                        found = (frame, 0)
                    } else {
                        errors.add(1, ordering: .relaxed)
                    }
                    frames.value.withdrawPromise(frames: 2)
                } else if !live.isEmpty {
                    giveBack(Int(generator.next() % UInt64(live.count)))
                }
                if let found {
                    for offset in 0..<UInt(1) << UInt(found.order) {
                        map.pointer(to: found.frame + offset).storeBytes(of: mark, as: UInt64.self)
                    }
                    if found.order == 2, step % 2 == 0 {
                        frames.value.claim(found.frame, order: 2, as: .slab, owner: UInt(cpu))
                        if frames.value.owner(of: found.frame + 3) != UInt(cpu) { errors.add(1, ordering: .relaxed) }
                        frames.value.release(found.frame, order: 2, from: .slab)
                    }
                    live.append(found)
                }
            }
            while !live.isEmpty { giveBack(live.count - 1) }
        }
        #expect(errors.load(ordering: .relaxed) == 0)
        #expect(machine.takeKinds().isEmpty)
        try machine.run { try $0.checkInvariants() }
        #expect(machine.snapshot() == before)
    }

    /// All frames are promised to some CPU; each calls upon all of its own, while the others do the same.
    @Test func everyPromiseIsKeptUnderPressure() throws {
        let machine = try AllocationTests.threeZones(cpuCount: Self.cpuCount)
        let before = machine.snapshot()
        let share = Int(machine.run { $0.freeFrames }) / Self.cpuCount
        let errors = Atomic<Int>(0)
        onAllCPUs(of: machine) { cpu in
            let frames = machine.permanent
            for _ in 0..<3 {
                guard frames.value.promise(frames: share) else {
                    errors.add(1, ordering: .relaxed)
                    return
                }
                var taken: [PageFrameNumber] = []
                for index in 0..<share {
                    if index % 4 == cpu {
                        frames.value.withdrawPromise(frames: 1)
                    } else if let frame = frames.value.allocatePromised() {
                        taken.append(frame)
                    } else {
                        errors.add(1, ordering: .relaxed)
                    }
                }
                for frame in taken { frames.value.free(frame, order: 0) }
            }
        }
        #expect(errors.load(ordering: .relaxed) == 0)
        #expect(machine.takeKinds().isEmpty)
        try machine.run { try $0.checkInvariants() }
        #expect(machine.snapshot() == before)
    }

    /// Of two CPUs that free the same block, exactly one is told so.
    @Test func aRacingDoubleFreeIsReportedOnce() throws {
        let machine = try FrameMachine(mebibytes: 16, cpuCount: Self.cpuCount)
        let before = machine.snapshot()
        for _ in 0..<50 {
            let block = try #require(machine.allocate(order: 1))
            onAllCPUs(of: machine) { _ in machine.permanent.value.free(block, order: 1) }
            #expect(machine.takeKinds() == Array(repeating: .doubleFree, count: Self.cpuCount - 1))
        }
        #expect(machine.snapshot() == before)
    }
}
