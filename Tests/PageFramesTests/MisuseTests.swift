import MemoryPrimitives
import Testing

@testable import PageFrames

/// Every wrong free is reported as what it is, and changes nothing.
@Suite struct MisuseTests {
    let machine: FrameMachine
    let block: PageFrameNumber

    init() throws {
        machine = try FrameMachine(memory: [256..<6144, 7168..<8192], reserved: [300..<310])
        block = try #require(machine.allocate(order: 3))
    }

    /// Frees what must not be freed and expects `kind`.
    private func expect(
        _ kind: MemoryViolation.Kind, freeing frame: UInt, order: Int, value: UInt? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let before = machine.snapshot()
        machine.run { $0.free(PageFrameNumber(frame), order: order) }
        let violations = machine.machine.takeViolations()
        #expect(violations.map(\.kind) == [kind], sourceLocation: sourceLocation)
        #expect(violations.first?.address == frame << 12, sourceLocation: sourceLocation)
        if let value { #expect(violations.first?.value == value, sourceLocation: sourceLocation) }
        #expect(machine.snapshot() == before, sourceLocation: sourceLocation)
        try machine.run { try $0.checkInvariants() }
    }

    @Test func doubleFreeOfABlockThatStaysAlone() throws {
        let neighbour = try #require(machine.allocate(order: 3))
        #expect(neighbour.rawValue == block.rawValue ^ 8)
        machine.run { $0.free(block, order: 3) }
        try expect(.doubleFree, freeing: block.rawValue, order: 3, value: 3)
        try expect(.doubleFree, freeing: block.rawValue, order: 0, value: 3)
    }

    @Test(arguments: [0, 3]) func doubleFreeOfABlockThatHasMerged(order: Int) throws {
        // The upper half of a pair: once both are free its descriptor is the inside of a larger block.
        let other = try #require(machine.allocate(order: 3))
        let upper = max(block, other)
        machine.run { frames in
            frames.free(block, order: 3)
            frames.free(other, order: 3)
        }
        #expect(machine.state(upper.rawValue) == .free)
        try expect(.doubleFree, freeing: upper.rawValue, order: order)
    }

    @Test func wrongOrders() throws {
        for order in 0...2 { try expect(.wrongOrder, freeing: block.rawValue, order: order, value: 3) }
        for order in [-1, 11, 64, Int.max, Int.min] {
            try expect(.wrongOrder, freeing: block.rawValue, order: order)
        }
        let large = try #require(machine.allocate(order: 6))
        try expect(.wrongOrder, freeing: large.rawValue, order: 5, value: 6)
        // With a larger order than that of the block the frame may not even be aligned.
        let aligned = try #require(machine.allocate(order: 4))
        if aligned.rawValue % 32 == 0 { try expect(.wrongOrder, freeing: aligned.rawValue, order: 5, value: 4) }
    }

    @Test func tails() throws {
        for offset: UInt in 1..<8 { try expect(.freeOfTail, freeing: block.rawValue + offset, order: 0) }
        try expect(.freeOfTail, freeing: block.rawValue + 4, order: 2)
        let whole = try #require(machine.allocate(order: 10))
        try expect(.freeOfTail, freeing: whole.rawValue + 1023, order: 0)
        try expect(.freeOfTail, freeing: whole.rawValue + 512, order: 9)
    }

    @Test func misalignedFrames() throws {
        try expect(.misalignedFree, freeing: block.rawValue + 1, order: 3, value: 3)
        try expect(.misalignedFree, freeing: block.rawValue + 4, order: 3)
        try expect(.misalignedFree, freeing: 1, order: 10)
    }

    @Test func foreignFrames() throws {
        // Not RAM, in a section with descriptors; reserved; a hole of a whole section; beyond everything.
        try expect(.wildFree, freeing: 10, order: 0)
        try expect(.wildFree, freeing: 304, order: 0)
        try expect(.wildFree, freeing: 6145, order: 0)
        try expect(.wildFree, freeing: 1 << 20, order: 0)
        try expect(.wildFree, freeing: 1 << 40, order: 0)
        try expect(.wildFree, freeing: (1 << 52) - 1, order: 0)
    }

    @Test func framesThatWereNeverHandedOut() throws {
        // A free section that has not even been brought into use.
        #expect(machine.statistics(.dma32).deferredFrames > 0)
        let deferred = try #require(
            (UInt(4)..<8).first { section in machine.run { !$0.table.isInitialized(section: section) } })
        try expect(.wildFree, freeing: deferred << 10, order: 10)
        try expect(.wildFree, freeing: deferred << 10 + 5, order: 0)
    }

    @Test func metadataItself() throws {
        for (range, _) in machine.metadata {
            try expect(.wildFree, freeing: range.start.rawValue / 4096, order: 0)
        }
    }

    @Test func framesOfOtherOwners() throws {
        machine.run { $0.claim(block, order: 3, as: .slab, owner: 0x5000, tag: 0) }
        try expect(.wildFree, freeing: block.rawValue, order: 3, value: 0x5000)
        try expect(.wildFree, freeing: block.rawValue + 5, order: 0, value: 0x5000)
        let table = try #require(machine.allocate(order: 0))
        machine.run { $0.claim(table, order: 0, as: .table, owner: 0x6000) }
        try expect(.wildFree, freeing: table.rawValue, order: 0, value: 0x6000)
        machine.run { frames in
            frames.release(block, order: 3, from: .slab)
            frames.free(block, order: 3)
        }
        #expect(machine.takeKinds().isEmpty)
        try expect(.doubleFree, freeing: block.rawValue, order: 3)
    }

    @Test func aDamagedDescriptorIsReported() throws {
        let descriptor = machine.run { $0.descriptor(of: block)! }
        let intact = descriptor.pointee
        func kinds(_ damage: (inout FrameDescriptor) -> Void) -> [MemoryViolation.Kind] {
            damage(&descriptor.pointee)
            machine.run { $0.free(block, order: 3) }
            descriptor.pointee = intact
            return machine.takeKinds()
        }
        #expect(kinds { $0.state = FrameState(rawValue: 200) } == [.corruption])
        #expect(kinds { $0.state = .free } == [.corruption])
        #expect(kinds { $0.tag = 7 } == [.wildFree])
        #expect(kinds { $0.order = 2 } == [.wrongOrder])
        // Nothing says any more that the block is in use.
        #expect(kinds { $0.state = .interior } == [.doubleFree])
        machine.run { $0.free(block, order: 3) }
        #expect(machine.takeKinds().isEmpty)
        try machine.run { try $0.checkInvariants() }
    }

    /// What lies in a frame cache is free like any other.
    @Test func doubleFreeOfACachedBlock() throws {
        let machine = try FrameMachine(mebibytes: 64, options: .usual)
        let frame = try #require(machine.allocate(order: 0))
        let pair = try #require(machine.allocate(order: 1))
        machine.run { frames in
            frames.free(frame, order: 0)
            frames.free(pair, order: 1)
        }
        #expect(machine.ring(.dma32).frames.last.map { UInt($0) } == frame.rawValue)
        let before = machine.ring(.dma32).frames
        for (freed, order) in [(frame, 0), (pair, 1), (pair, 0), (pair + 1, 0)] {
            machine.run { $0.free(freed, order: order) }
            #expect(machine.takeKinds() == [.doubleFree])
        }
        #expect(machine.ring(.dma32).frames == before)
        machine.run { $0.drainFrameCaches() }
        machine.run { $0.free(frame, order: 0) }
        #expect(machine.takeKinds() == [.doubleFree])
        try machine.run { try $0.checkInvariants() }
    }
}
