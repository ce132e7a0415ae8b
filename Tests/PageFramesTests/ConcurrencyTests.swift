import Foundation
import MemoryPrimitives
import SimulatedMachine
import Synchronization
import TestSupport
import Testing

@testable import PageFrames

/// Several CPUs at once. Each writes its mark into every frame that it has, and finds it there when it gives it back.
@Suite struct ConcurrencyTests {
    static let cpuCount = 4

    @Test(arguments: PageFrameOptions.combinations) func noFrameHasTwoOwners(options: PageFrameOptions) throws {
        let seeded = SeededGenerator.fromEnvironment(default: 0x5eed_0004)
        let machine = try AllocationTests.threeZones(cpuCount: Self.cpuCount, options: options)
        let before = machine.snapshot()
        let errors = Atomic<Int>(0)
        machine.machine.onAllCPUs { cpu in
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
                    let kind: AllocationFlags = [.kernel, [.kernel, .dma32], [.atomic, .dma]][
                        Int(generator.next() % 3)]
                    let use: AllocationFlags = [.none, .movable, .reclaimable][Int(generator.next() % 3)]
                    let flags = kind | use | .noWarn
                    found = frames.value.allocate(order: order, flags: flags).map { ($0, order) }
                } else if choice < 60, frames.value.promise(frames: 3) {
                    // One is called upon at once and the others are withdrawn, amid the other CPUs' promises.
                    if let frame = frames.value.allocatePromised() {
                        found = (frame, 0)
                    } else {
                        errors.add(1, ordering: .relaxed)
                    }
                    frames.value.withdrawPromise(frames: 2)
                } else if choice == 60 {
                    frames.value.drainFrameCache(ofCPU: Int(generator.next() % UInt64(Self.cpuCount)))
                } else if choice == 61 {
                    _ = frames.value.reclaimIfAsked()
                    _ = frames.value.freeFrames
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

    /// The CPUs live on their caches alone, which others drain, turn off and on again under their hands.
    @Test func cachesAreDrainedUnderTheirOwnersHands() throws {
        let seeded = SeededGenerator.fromEnvironment(default: 0x5eed_000b)
        let machine = try AllocationTests.threeZones(cpuCount: Self.cpuCount, options: .cached)
        let before = machine.snapshot()
        let owners = (0..<8192).map { _ in OwnerBox() }
        let errors = Atomic<Int>(0)
        machine.machine.onAllCPUs { cpu in
            var generator = seeded.forCPU(cpu)
            let frames = machine.permanent
            var live: [PageFrameNumber] = []
            func box(_ frame: PageFrameNumber) -> OwnerBox { owners[Int(frame.rawValue & 8191)] }
            for _ in 0..<20000 {
                switch generator.next() % 1000 {
                case 0: frames.value.drainFrameCaches()
                case 1: frames.value.setFrameCaches(enabled: false)
                case 2...3: frames.value.setFrameCaches(enabled: true)
                case 4..<500 where live.count < 40:
                    guard let frame = frames.value.allocate(order: 0) else { break }
                    if box(frame).value.exchange(cpu + 1, ordering: .relaxed) != 0 { errors.add(1, ordering: .relaxed) }
                    live.append(frame)
                default:
                    guard let frame = live.popLast() else { break }
                    if box(frame).value.exchange(0, ordering: .relaxed) != cpu + 1 { errors.add(1, ordering: .relaxed) }
                    frames.value.free(frame, order: 0)
                }
            }
            for frame in live {
                box(frame).value.store(0, ordering: .relaxed)
                frames.value.free(frame, order: 0)
            }
        }
        #expect(errors.load(ordering: .relaxed) == 0)
        #expect(machine.takeKinds().isEmpty)
        try machine.run { try $0.checkInvariants() }
        #expect(machine.snapshot() == before)
    }

    private final class OwnerBox: Sendable { let value = Atomic<Int>(0) }

    /// All frames are promised to some CPU; each calls upon all of its own, while the others do the same.
    @Test(arguments: [PageFrameOptions.exact, .reserved])
    func everyPromiseIsKeptUnderPressure(options: PageFrameOptions) throws {
        let machine = try AllocationTests.threeZones(cpuCount: Self.cpuCount, options: options)
        let before = machine.snapshot()
        let share = Int(machine.run { $0.promisableFrames }) / Self.cpuCount
        let errors = Atomic<Int>(0)
        machine.machine.onAllCPUs { cpu in
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
    @Test(arguments: [PageFrameOptions.exact, .usual])
    func aRacingDoubleFreeIsReportedOnce(options: PageFrameOptions) throws {
        let machine = try FrameMachine(mebibytes: 64, cpuCount: Self.cpuCount, options: options)
        let before = machine.snapshot()
        for _ in 0..<50 {
            let block = try #require(machine.allocate(order: 1))
            machine.machine.onAllCPUs { _ in machine.permanent.value.free(block, order: 1) }
            #expect(machine.takeKinds() == Array(repeating: .doubleFree, count: Self.cpuCount - 1))
        }
        #expect(machine.snapshot() == before)
    }
}
