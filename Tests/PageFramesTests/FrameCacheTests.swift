import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import PageFrames

/// What the CPUs keep of free blocks: when they fetch them, and when they give them back.
@Suite struct FrameCacheTests {
    /// All memory is in DMA32, so that its rings serve every request.
    private func makeMachine(cpuCount: Int = 1, options: PageFrameOptions = .cached) throws -> FrameMachine {
        try FrameMachine(memory: [8192..<8192 + 16384], cpuCount: cpuCount, options: options)
    }

    private func allocate(_ count: Int, on machine: FrameMachine, cpu: Int = 0) throws -> [PageFrameNumber] {
        try (0..<count).map { _ in try #require(machine.run(onCPU: cpu) { $0.allocate(order: 0) }) }
    }

    private func free(_ frames: some Sequence<PageFrameNumber>, on machine: FrameMachine, cpu: Int = 0) {
        machine.run(onCPU: cpu) { allocator in for frame in frames { allocator.free(frame, order: 0) } }
    }

    @Test func aRefillFetchesABatchThatIsHandedOutInOrder() throws {
        let machine = try makeMachine()
        // The first page block for such contents is chosen for one frame.
        let first = try #require(machine.allocate(order: 0))
        #expect(machine.ring(.dma32).frames == [])
        let before = machine.statistics(.dma32)
        let second = try #require(machine.allocate(order: 0))
        #expect(second == first + 1)
        let ring = machine.ring(.dma32)
        // At least half a batch, without breaking up a block for the rest.
        let fetched = UInt(ring.frames.count) + 1
        #expect((ring.batch / 2...ring.batch).contains(UInt32(fetched)))
        #expect(UInt(ring.limit) == (first.rawValue | 511) + 1)
        let after = machine.statistics(.dma32)
        #expect(after.freeFrames == before.freeFrames - fetched)
        #expect(after.cachedFrames == fetched - 1)
        // The rest of the batch comes without the zone's help.
        let rest = try allocate(Int(fetched) - 1, on: machine)
        #expect(rest.map(\.rawValue) == (2...fetched).map { first.rawValue + $0 })
        #expect(machine.statistics(.dma32).freeFrames == after.freeFrames)
        #expect(machine.statistics(.dma32).cachedFrames == 0)
        try machine.run { try $0.checkInvariants() }
    }

    @Test(arguments: 0...3) func everyCachedOrderHasARing(order: Int) throws {
        let machine = try makeMachine()
        let block = try #require(machine.allocate(order: order))
        machine.run { $0.free(block, order: order) }
        #expect(machine.ring(.dma32, order: order).frames == [UInt32(block.rawValue)])
        #expect(machine.statistics(.dma32).cachedFrames == 1 << UInt(order))
        #expect(machine.state(block.rawValue) == .interior)
        #expect(machine.allocate(order: order, flags: .kernel | .movable) != block)
        #expect(machine.allocate(order: order) == block)
        // Larger ones have none.
        let large = try #require(machine.allocate(order: 4))
        let cached = machine.statistics(.dma32).cachedFrames
        machine.run { $0.free(large, order: 4) }
        #expect(machine.statistics(.dma32).cachedFrames == cached)
        #expect(machine.state(large.rawValue) == .free)
    }

    @Test func aFullRingGivesTheColdestBack() throws {
        let machine = try makeMachine()
        let ring = machine.ring(.dma32)
        let (high, batch) = (Int(ring.high), Int(ring.batch))
        #expect(high > 16 && high <= FrameRing.capacity && batch == high / 2)
        let frames = try allocate(3 * high, on: machine)
        machine.run { $0.drainFrameCaches() }
        var generator = SeededGenerator.fromEnvironment(default: 0x5eed_0008)
        let freed = frames.shuffled(using: &generator)
        for (index, frame) in freed.enumerated() {
            free([frame], on: machine)
            let ring = machine.ring(.dma32).frames
            // As many as may be are kept; the one that is one too many sends away a batch.
            let expected = index < high ? index + 1 : high - batch + 1 + (index - high) % batch
            #expect(ring.count == expected)
            #expect(ring.map { UInt($0) } == freed[...index].suffix(expected).map(\.rawValue))
        }
        try machine.run { try $0.checkInvariants() }
        #expect(machine.allocate(order: 0) == freed.last)
    }

    /// Blocks beyond the page blocks in use at the low end go back at once, so that memory there becomes whole again.
    @Test func blocksBeyondTheLimitAreNotKept() throws {
        let machine = try makeMachine()
        let frames = try allocate(1500, on: machine).sorted()
        machine.run { $0.setFrameCaches(enabled: false) }
        free(frames[..<64], on: machine)
        machine.run { $0.setFrameCaches(enabled: true) }
        #expect(machine.allocate(order: 0) == frames[0])
        let ring = machine.ring(.dma32)
        #expect(UInt(ring.limit) == (frames[0].rawValue | 511) + 1)
        let free = machine.statistics(.dma32).freeFrames
        let beyond = frames.filter { $0.rawValue >= UInt(ring.limit) }
        #expect(beyond.count > 900)
        for (index, frame) in beyond.enumerated() {
            self.free([frame], on: machine)
            #expect(machine.statistics(.dma32).freeFrames == free + UInt(index) + 1)
        }
        #expect(machine.ring(.dma32).frames == ring.frames)
        // Just below the limit one is kept.
        let last = try #require(frames.last { $0.rawValue < UInt(ring.limit) })
        self.free([last], on: machine)
        #expect(machine.ring(.dma32).frames.last.map { UInt($0) } == last.rawValue)
        try machine.run { try $0.checkInvariants() }
    }

    @Test func anotherCPUsCacheCanBeDrained() throws {
        let machine = try makeMachine(cpuCount: 2)
        let before = machine.snapshot()
        let held = try (0..<2).map { try allocate(20, on: machine, cpu: $0) }
        for cpu in 0..<2 { free(held[cpu], on: machine, cpu: cpu) }
        let cached = machine.ring(ofCPU: 1, .dma32).frames.count
        #expect(cached > 0)
        let untouched = machine.ring(ofCPU: 0, .dma32).frames
        let free = machine.statistics(.dma32).freeFrames
        machine.run(onCPU: 0) { $0.drainFrameCache(ofCPU: 1) }
        #expect(machine.ring(ofCPU: 1, .dma32).frames == [])
        #expect(machine.ring(ofCPU: 0, .dma32).frames == untouched)
        #expect(machine.statistics(.dma32).freeFrames == free + UInt(cached))
        #expect(machine.snapshot() == before)
    }

    @Test func cachesCanBeTurnedOffAndOn() throws {
        let machine = try makeMachine(cpuCount: 2)
        let before = machine.snapshot()
        let frames = try allocate(30, on: machine)
        free(frames, on: machine)
        #expect(machine.statistics(.dma32).cachedFrames > 0)
        machine.run { $0.setFrameCaches(enabled: false) }
        #expect(machine.statistics(.dma32).cachedFrames == 0)
        let allocations = machine.statistics(.dma32).allocations
        for _ in 0..<2 { free(try allocate(30, on: machine, cpu: 1), on: machine, cpu: 1) }
        #expect(machine.statistics(.dma32).cachedFrames == 0)
        #expect(machine.statistics(.dma32).allocations == allocations + 60)
        machine.run { $0.setFrameCaches(enabled: true) }
        free(try allocate(30, on: machine), on: machine)
        #expect(machine.statistics(.dma32).cachedFrames > 0)
        #expect(machine.snapshot() == before)
        try machine.run { try $0.checkInvariants() }
    }

    /// All rings of all CPUs together hold at most an eighth of a zone.
    @Test(arguments: [1, 2, 8, 64], [300, 4000, 16000, 60000] as [UInt])
    func smallZonesHaveSmallRings(cpuCount: Int, frameCount: UInt) throws {
        let machine = try FrameMachine(
            memory: [2048..<2348, 8192..<8192 + frameCount], cpuCount: cpuCount, options: .usual)
        for kind in ZoneKind.allCases {
            var capacity: UInt = 0
            for mobility: Mobility in [.unmovable, .movable, .reclaimable] {
                for order in 0...3 {
                    let ring = machine.ring(kind, mobility, order: order)
                    #expect(ring.high <= FrameRing.capacity && ring.batch >= 1 && ring.batch <= max(1, ring.high))
                    capacity += UInt(ring.high) << UInt(order) * UInt(cpuCount)
                }
            }
            #expect(capacity <= machine.statistics(kind).managedFrames / 8)
        }
        #expect((machine.ring(.dma32).high > 0) == (machine.statistics(.dma32).managedFrames >= 360 * UInt(cpuCount)))
    }

    /// What other CPUs keep is not out of reach: neither the last frame nor a block that it is a part of.
    @Test func memoryInOtherCPUsCachesIsFound() throws {
        let machine = try makeMachine(cpuCount: 4)
        let before = machine.snapshot()
        var all: [PageFrameNumber] = []
        for cpu in 1..<4 { free(try allocate(40, on: machine, cpu: cpu), on: machine, cpu: cpu) }
        #expect(machine.statistics(.dma32).cachedFrames > 20)
        while let frame = machine.allocate(order: 0, flags: .kernel | .noWarn) { all.append(frame) }
        #expect(UInt(all.count) == machine.handedOverCount)
        for (index, frame) in all.enumerated() { free([frame], on: machine, cpu: index % 4) }
        var sections: [PageFrameNumber] = []
        while let section = machine.allocate(order: 10, flags: .kernel | .noWarn) { sections.append(section) }
        #expect(UInt(sections.count) == before[1][10])
        machine.run { frames in for section in sections { frames.free(section, order: 10) } }
        #expect(machine.snapshot() == before)
    }

    /// A page block that is kept for other contents gets its frames back under that name.
    @Test func framesGoToTheRingOfTheirPageBlock() throws {
        let machine = try makeMachine()
        let frame = try #require(machine.allocate(order: 0))
        #expect(machine.mobility(of: frame) == .unmovable)
        machine.withZone(.dma32) { $0.buddy.convert(UInt32(frame.rawValue >> 9), to: .reclaimable) }
        let other = try #require(machine.allocate(order: 0, flags: .kernel | .reclaimable))
        #expect(other.rawValue >> 9 == frame.rawValue >> 9)
        free([frame], on: machine)
        #expect(machine.ring(.dma32).frames == [])
        #expect(machine.ring(.dma32, .reclaimable).frames.last.map { UInt($0) } == frame.rawValue)
        // One that is set aside has no ring.
        machine.withZone(.dma32) { $0.buddy.convert(UInt32(frame.rawValue >> 9), to: .contiguous) }
        let cached = machine.statistics(.dma32).cachedFrames
        free([other], on: machine)
        #expect(machine.statistics(.dma32).cachedFrames == cached)
        try machine.run { try $0.checkInvariants() }
    }
}
