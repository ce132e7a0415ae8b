import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import PageFrames

@Suite struct PromiseTests {
    @Test func promisedFramesAreKeptForThosePromised() throws {
        let machine = try FrameMachine(mebibytes: 16)
        let before = machine.snapshot()
        #expect(machine.promise(100))
        #expect(machine.permanent.value.promisedFrames == 100)
        var taken: [PageFrameNumber] = []
        while let frame = machine.allocate(order: 0) { taken.append(frame) }
        // Ordinary allocations fail although frames are free, for all of these are promised ...
        #expect(machine.run { $0.freeFrames } == 100)
        #expect(machine.allocate(order: 0, flags: .atomic) == nil)
        #expect(!machine.promise(1))
        try machine.run { try $0.checkInvariants() }
        // ... and those that were promised succeed, every one.
        for remaining in stride(from: 99, through: 0, by: -1) {
            taken.append(try #require(machine.allocatePromised()))
            #expect(machine.permanent.value.promisedFrames == UInt(remaining))
        }
        #expect(Set(taken).count == taken.count)
        #expect(machine.run { $0.freeFrames } == 0)
        #expect(machine.takeKinds().isEmpty)
        try machine.run { frames in
            for frame in taken { frames.free(frame, order: 0) }
            try frames.checkInvariants()
        }
        #expect(machine.snapshot() == before)
    }

    @Test func blocksLeaveThePromisedFramesAlone() throws {
        let machine = try FrameMachine(memory: [4096..<4096 + 2048 + 64])
        let free = Int(machine.run { $0.freeFrames })
        #expect(machine.promise(free - 1023))
        #expect(machine.allocate(order: 10) == nil)
        let block = try #require(machine.allocate(order: 9))
        machine.run { frames in
            frames.free(block, order: 9)
            frames.withdrawPromise(frames: 1)
        }
        #expect(machine.allocate(order: 10) != nil)
        #expect(machine.takeKinds().isEmpty)
    }

    @Test func promisesPreferTheHighestZoneAndWithdrawalsTheLowest() throws {
        let machine = try AllocationTests.threeZones()
        let normal = Int(machine.statistics(.normal).freeFrames)
        let dma32 = Int(machine.statistics(.dma32).freeFrames)
        let dma = Int(machine.statistics(.dma).freeFrames)
        func promised() -> [Int] { ZoneKind.allCases.map { Int(machine.statistics($0).promisedFrames) } }
        #expect(machine.promise(10))
        #expect(promised() == [0, 0, 10])
        #expect(machine.promise(normal + dma32 - 5))
        #expect(promised() == [5, dma32, normal])
        let before = machine.snapshot()
        #expect(!machine.promise(dma))
        #expect(machine.snapshot() == before)
        machine.run { $0.withdrawPromise(frames: 7) }
        #expect(promised() == [0, dma32 - 2, normal])
        let frame = try #require(machine.allocatePromised())
        #expect(ZoneKind(of: frame) == .normal)
        #expect(promised() == [0, dma32 - 2, normal - 1])
        machine.run { $0.withdrawPromise(frames: normal + dma32 - 3) }
        #expect(promised() == [0, 0, 0])
        #expect(machine.permanent.value.promisedFrames == 0)
        try machine.run { try $0.checkInvariants() }
        #expect(machine.takeKinds().isEmpty)
    }

    @Test func promisesThatCannotBeKeptAreNotMade() throws {
        let machine = try AllocationTests.threeZones()
        let before = machine.snapshot()
        let free = Int(machine.run { $0.freeFrames })
        for count in [free + 1, Int.max, -1, Int.min] {
            #expect(!machine.promise(count))
            #expect(machine.snapshot() == before)
        }
        #expect(machine.promise(0))
        #expect(machine.promise(free))
        machine.run { $0.withdrawPromise(frames: free) }
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds().isEmpty)
    }

    @Test func promisesThatWereNeverMadeAreReported() throws {
        let machine = try FrameMachine(mebibytes: 16)
        let before = machine.snapshot()
        #expect(machine.allocatePromised() == nil)
        #expect(machine.takeKinds() == [.brokenPromise])
        machine.run { $0.withdrawPromise(frames: 1) }
        machine.run { $0.withdrawPromise(frames: -1) }
        #expect(machine.takeKinds() == [.brokenPromise, .brokenPromise])
        #expect(machine.promise(3))
        machine.run { $0.withdrawPromise(frames: 4) }
        #expect(machine.takeKinds() == [.brokenPromise])
        machine.run { $0.withdrawPromise(frames: 3) }
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds().isEmpty)
    }

    @Test func promisedFramesCanBeCleared() throws {
        let machine = try FrameMachine(mebibytes: 16)
        let map = machine.machine.arena.directMap
        let frame = try #require(machine.allocate(order: 0))
        map.pointer(to: frame).initializeMemory(as: UInt8.self, repeating: 0xa5, count: 4096)
        machine.run { $0.free(frame, order: 0) }
        #expect(machine.promise(1))
        let promised = try #require(machine.allocatePromised(flags: [.kernel, .zero]))
        #expect(promised == frame)
        let bytes = UnsafeRawBufferPointer(start: map.pointer(to: promised), count: 4096)
        #expect(bytes.allSatisfy { $0 == 0 })
    }

    @Test func randomPromisesAndAllocationsAgreeWithTheModel() throws {
        var generator = SeededGenerator.fromEnvironment(default: 0x5eed_0003)
        let machine = try AllocationTests.threeZones()
        let before = machine.snapshot()
        var live: [(frame: PageFrameNumber, order: Int)] = []
        var promised = 0
        var free = Int(machine.run { $0.freeFrames })
        for _ in 0..<900 {
            let count = Int.random(
                in: 0...(UInt.random(in: 0..<4, using: &generator) == 0 ? 4000 : 40), using: &generator)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0:
                let isPromised = machine.promise(count)
                #expect(isPromised == (count <= free - promised))
                if isPromised { promised += count }
            case 1:
                let part = min(count, promised)
                machine.run { $0.withdrawPromise(frames: part) }
                promised -= part
            case 2 where promised > 0:
                live.append((try #require(machine.allocatePromised()), 0))
                promised -= 1
                free -= 1
            case 3, 4:
                let order = count % 8
                if let block = machine.allocate(order: order) {
                    live.append((block, order))
                    free -= 1 << order
                } else if order == 0 {
                    #expect(free == promised)
                }
            default:
                guard let index = live.indices.randomElement(using: &generator) else { break }
                let block = live.remove(at: index)
                machine.run { $0.free(block.frame, order: block.order) }
                free += 1 << block.order
            }
            #expect(machine.run { $0.freeFrames } == UInt(free))
            #expect(machine.permanent.value.promisedFrames == UInt(promised))
            try machine.run { try $0.checkInvariants() }
        }
        try machine.run { frames in
            for block in live { frames.free(block.frame, order: block.order) }
            frames.withdrawPromise(frames: promised)
            try frames.checkInvariants()
        }
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds().isEmpty)
    }
}
