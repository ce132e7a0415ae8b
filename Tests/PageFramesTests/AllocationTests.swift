import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import PageFrames

@Suite struct AllocationTests {
    /// A machine with a little memory in each zone; the metadata lies in Normal.
    static func threeZones(cpuCount: Int = 1) throws -> FrameMachine {
        let fourGiB: UInt = 1 << 20
        return try FrameMachine(memory: [2048..<5120, fourGiB..<fourGiB + 2048], cpuCount: cpuCount)
    }

    @Test(arguments: 0...10) func blocksAreAlignedAndApart(order: Int) throws {
        let machine = try FrameMachine(mebibytes: 24)
        let before = machine.snapshot()
        var blocks: [PageFrameNumber] = []
        while let block = machine.allocate(order: order) {
            #expect(block.rawValue % (1 << UInt(order)) == 0)
            #expect(machine.state(block.rawValue) == .allocatedHead)
            blocks.append(block)
        }
        let ranges = blocks.map { $0.rawValue..<$0.rawValue + 1 << UInt(order) }.sorted {
            $0.lowerBound < $1.lowerBound
        }
        for (left, right) in zip(ranges, ranges.dropFirst()) { #expect(left.upperBound <= right.lowerBound) }
        for range in ranges { #expect(machine.handedOver.contains { $0.contains(range.lowerBound) }) }
        #expect(UInt(blocks.count) == (0...10).reduce(0) { $0 + Self.blocks(in: before, from: $1, of: order) })

        try machine.run { frames in
            try frames.checkInvariants()
            var generator = SeededGenerator.fromEnvironment(default: 0x5eed_0005)
            for block in blocks.shuffled(using: &generator) { frames.free(block, order: order) }
            try frames.checkInvariants()
        }
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds().isEmpty)
    }

    /// How many blocks of `order` can be cut from the free blocks of order `from`.
    private static func blocks(in snapshot: [[UInt]], from: Int, of order: Int) -> UInt {
        from < order ? 0 : snapshot.reduce(0) { $0 + $1[from] << UInt(from - order) }
    }

    @Test(arguments: [-1, 11, 12, 63, 64, Int.max, Int.min]) func ordersThatDoNotExistAreRefused(order: Int) throws {
        let machine = try FrameMachine(mebibytes: 16)
        let before = machine.snapshot()
        #expect(machine.allocate(order: order) == nil)
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds().isEmpty)
    }

    @Test func lastFreedIsFirstAllocated() throws {
        let machine = try FrameMachine(mebibytes: 16)
        let first = try #require(machine.allocate(order: 0))
        let second = try #require(machine.allocate(order: 0))
        machine.run { $0.free(first, order: 0) }
        #expect(machine.allocate(order: 0) == first)
        machine.run { $0.free(second, order: 0) }
        #expect(machine.allocate(order: 0) == second)
    }

    @Test func zonesFallBackDownwardsOnly() throws {
        let machine = try Self.threeZones()
        let before = machine.snapshot()
        var taken: [PageFrameNumber] = []
        func drain(_ flags: AllocationFlags, from kind: ZoneKind) {
            while machine.statistics(kind).freeFrames > 0 {
                guard let frame = machine.allocate(order: 0, flags: flags) else { break }
                #expect(ZoneKind(of: frame) == kind)
                taken.append(frame)
            }
            #expect(machine.statistics(kind).freeFrames == 0)
        }
        drain(.kernel, from: .normal)
        let dma = try #require(machine.allocate(order: 0, flags: [.kernel, .dma]))
        #expect(ZoneKind(of: dma) == .dma)
        taken.append(dma)
        drain(.kernel, from: .dma32)
        drain([.kernel, .dma32], from: .dma)
        for flags: AllocationFlags in [.kernel, [.kernel, .dma32], [.atomic, .dma]] {
            #expect(machine.allocate(order: 0, flags: flags) == nil)
        }
        // Memory that is free above is no help to those who need it below.
        let normal = try #require(taken.first)
        machine.run { $0.free(normal, order: 0) }
        #expect(machine.allocate(order: 0, flags: [.kernel, .dma32]) == nil)
        #expect(machine.allocate(order: 0, flags: [.kernel, .dma]) == nil)
        #expect(machine.allocate(order: 0) == normal)
        try machine.run { frames in
            for frame in taken { frames.free(frame, order: 0) }
            try frames.checkInvariants()
        }
        #expect(machine.snapshot() == before)
    }

    @Test func requestsAreCounted() throws {
        let machine = try Self.threeZones()
        let normal = try #require(machine.allocate(order: 2))
        machine.run { $0.free(normal, order: 2) }
        #expect(machine.statistics(.normal).allocations == 1)
        #expect(machine.statistics(.normal).frees == 1)
        #expect(machine.statistics(.dma).allocations == 0)
        while machine.allocate(order: 10, flags: [.kernel, .dma]) != nil {}
        #expect(machine.statistics(.dma).allocations == 2)
        #expect(machine.statistics(.dma).failures == 1)
        #expect(machine.statistics(.dma32).failures == 0)
    }

    @Test func zeroClearsTheBlockAndNothingElse() throws {
        let machine = try FrameMachine(mebibytes: 16)
        let map = machine.machine.arena.directMap
        let dirty = try #require(machine.allocate(order: 10))
        map.pointer(to: dirty).initializeMemory(as: UInt8.self, repeating: 0xa5, count: 4 << 20)
        machine.run { $0.free(dirty, order: 10) }
        let plain = try #require(machine.allocate(order: 10))
        #expect(plain == dirty)
        #expect(map.pointer(to: plain).load(fromByteOffset: 4096, as: UInt8.self) == 0xa5)
        machine.run { $0.free(plain, order: 10) }
        // Smaller blocks are used up first; then the one that is all over 0xa5 is split.
        var cleared = try #require(machine.allocate(order: 3, flags: [.kernel, .zero]))
        while !(dirty.rawValue..<dirty.rawValue + 1024).contains(cleared.rawValue) {
            cleared = try #require(machine.allocate(order: 3, flags: [.kernel, .zero]))
        }
        let bytes = UnsafeRawBufferPointer(start: map.pointer(to: cleared), count: 16 * 4096)
        #expect(bytes[..<(8 * 4096)].allSatisfy { $0 == 0 })
        #expect(bytes[(8 * 4096)...].allSatisfy { $0 == 0xa5 })
    }

    @Test func ownersFieldsAreZeroAfterAllocation() throws {
        let machine = try FrameMachine(mebibytes: 16)
        let frame = try #require(machine.allocate(order: 1))
        machine.run { frames in
            let descriptor = frames.descriptor(of: frame)!
            descriptor.pointee.owner = .max
            descriptor.pointee.count = .max
            descriptor.pointee.tag = .max
            frames.free(frame, order: 1)
        }
        #expect(machine.allocate(order: 1) == frame)
        let descriptor = machine.run { $0.descriptor(of: frame)! }
        #expect(descriptor.pointee.owner == 0)
        #expect(descriptor.pointee.count == 0)
        #expect(descriptor.pointee.tag == 0)
        #expect(descriptor.pointee.order == 1)
    }

    @Test func randomOperationsAgreeWithTheModel() throws {
        var generator = SeededGenerator.fromEnvironment(default: 0x5eed_0002)
        let fourGiB: UInt = 1 << 20
        let machine = try FrameMachine(
            memory: [3080..<4800, fourGiB..<fourGiB + 1500, fourGiB + 1700..<fourGiB + 2100],
            reserved: [3333..<3334, 4000..<4097])
        // The model has the zone Normal right behind the section in which the others end.
        func folded(_ frame: UInt) -> UInt { frame < fourGiB ? frame : frame - fourGiB + 5120 }
        var model = ReferenceModel(
            frameCount: 8192, free: machine.handedOver.map { folded($0.lowerBound)..<folded($0.upperBound) })
        let spans: [ZoneKind: Range<Int>] = [.dma: 0..<4096, .dma32: 4096..<5120, .normal: 5120..<8192]
        var live: [(frame: PageFrameNumber, order: Int)] = []
        let choices: [(AllocationFlags, [ZoneKind])] = [
            (.kernel, [.normal, .dma32, .dma]), ([.kernel, .dma32], [.dma32, .dma]), ([.atomic, .dma], [.dma]),
        ]
        for step in 0..<1500 {
            // Phases that mostly fill and phases that mostly empty.
            if UInt.random(in: 0..<10, using: &generator) < (step / 300 % 2 == 0 ? 7 : 3) || live.isEmpty {
                let order = min(Int.random(in: 0...10, using: &generator), Int.random(in: 0...10, using: &generator))
                let (flags, zones) = choices.randomElement(using: &generator)!
                let wanted = zones.first { kind in
                    model.freeBlocks(in: spans[kind]!)[order...].contains { $0 > 0 }
                }
                let found = machine.allocate(order: order, flags: flags)
                #expect(found.map { ZoneKind(of: $0) } == wanted)
                guard let found else { continue }
                #expect(found.rawValue % (1 << UInt(order)) == 0)
                let isFree = model.isFree(Int(folded(found.rawValue)), order: order)
                #expect(isFree)
                model.set(folded(found.rawValue), order: order, free: false)
                live.append((found, order))
            } else {
                let index = Int.random(in: 0..<live.count, using: &generator)
                let block = live[index]
                live.swapAt(index, live.count - 1)
                live.removeLast()
                machine.run { $0.free(block.frame, order: block.order) }
                model.set(folded(block.frame.rawValue), order: block.order, free: true)
            }
            for (kind, span) in spans {
                let zone = machine.statistics(kind)
                #expect((0...10).map { zone.freeBlocks[$0] } == model.freeBlocks(in: span), "step \(step)")
            }
            try machine.run { try $0.checkInvariants() }
        }
        #expect(machine.takeKinds().isEmpty)
    }
}
