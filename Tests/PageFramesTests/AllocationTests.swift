import MemoryPrimitives
import SimulatedMachine
import Synchronization
import Testing

@testable import PageFrames

@Suite struct AllocationTests {
    /// A machine with a little memory in each zone; the metadata lies in Normal.
    static func threeZones(cpuCount: Int = 1, options: PageFrameOptions = .exact) throws -> FrameMachine {
        let fourGiB: UInt = 1 << 20
        return try FrameMachine(
            memory: [2048..<5120, fourGiB..<fourGiB + 2048], cpuCount: cpuCount, options: options)
    }

    @Test(arguments: 0...10, [PageFrameOptions.exact, .cached])
    func blocksAreAlignedAndApart(order: Int, options: PageFrameOptions) throws {
        let machine = try FrameMachine(mebibytes: 24, options: options)
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

    @Test(arguments: PageFrameOptions.combinations)
    func lastFreedIsFirstAllocated(options: PageFrameOptions) throws {
        let machine = try FrameMachine(mebibytes: 16, options: options)
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
        #expect(machine.statistics(.dma).failures > 0)
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
        // The section that is all over 0xa5 is the lowest that is whole, and nothing smaller is for such contents.
        let cleared = try #require(machine.allocate(order: 3, flags: [.kernel, .zero]))
        #expect(cleared == dirty)
        let bytes = UnsafeRawBufferPointer(start: map.pointer(to: cleared), count: 16 * 4096)
        #expect(bytes[..<(8 * 4096)].allSatisfy { $0 == 0 })
        #expect(bytes[(8 * 4096)...].allSatisfy { $0 == 0xa5 })
    }

    @Test(arguments: PageFrameOptions.combinations)
    func ownersFieldsAreAsNewAfterAllocation(options: PageFrameOptions) throws {
        let machine = try FrameMachine(mebibytes: 16, options: options)
        let frame = try #require(machine.allocate(order: 1))
        let descriptor = machine.run { $0.descriptor(of: frame)! }
        descriptor.pointee.owner = .max
        machine.run { $0.free(frame, order: 1) }
        #expect(machine.allocate(order: 1) == frame)
        #expect(descriptor.pointee.owner == 0)
        #expect(descriptor.pointee.extraReferences == 0)
        #expect(descriptor.pointee.tag == 0)
        #expect(descriptor.pointee.order == 1)
        #expect(machine.takeKinds().isEmpty)
    }
}
