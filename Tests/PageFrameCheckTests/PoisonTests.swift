import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import PageFrames

/// `page_poison=1`, `init_on_alloc=1` and `init_on_free=1`.
@Suite struct PoisonTests {
    @Test(arguments: 0...10)
    func aFreedBlockIsFilled(order: Int) throws {
        let machine = try CheckedMachine(.poison)
        let block = try #require(machine.allocate(order))
        machine.free(block, order)
        let whole = machine.bytes(block, count: 4096 << order).allSatisfy { $0 == 0xaa }
        #expect(whole)
        #expect(machine.allocate(order) == block)
        try machine.check()
    }

    /// What lies in memory at boot is not the pattern, and nobody has promised that it would be.
    @Test func aFrameThatWasNeverFreedIsNotPoisoned() throws {
        let machine = try CheckedMachine(.poison, dirt: 0x3c)
        while machine.allocate(3) != nil {}
        try machine.check()
    }

    @Test(arguments: [0, 1, 2047, 4095], [0, 1, 5])
    func aWriteToAFreedFrameIsNamed(offset: Int, order: Int) throws {
        let machine = try CheckedMachine(.poison)
        let block = try #require(machine.allocate(order))
        let bad = block + (1 << UInt(order) - 1)
        machine.free(block, order)
        machine[bad, offset] = 0x17
        if offset < 4000 { machine[bad, 4003] = 0x18 }
        #expect(machine.allocate(order) == block)
        let violations = machine.takeViolations()
        #expect(violations.count == 1)
        let violation = try #require(violations.first)
        #expect(violation.kind == .writeAfterFree)
        #expect(violation.address == bad.address.rawValue + UInt(offset))
        #expect(violation.origin == bad.address.rawValue)
        #expect(violation.value == 0x17)
        #expect(violation.byteCount == (offset < 4000 ? 2 : 1))
        // It is said once.
        machine.free(block, order)
        #expect(machine.allocate(order) == block)
        try machine.check()
    }

    /// Each frame of a block is looked at, and each that is wrong is named.
    @Test func everyFrameOfABlockIsVerified() throws {
        let machine = try CheckedMachine(.poison)
        let block = try #require(machine.allocate(6))
        machine.free(block, 6)
        let bad = [0, 1, 31, 62, 63] as [UInt]
        for index in bad { machine[block + index, Int(index)] = UInt8(index) }
        #expect(machine.allocate(6) == block)
        #expect(machine.takeViolations().map { $0.origin } == bad.map { (block + $0).address.rawValue })
    }

    /// Blocks that were freed apart are filled as one, and those that never were used are left alone, frame by frame.
    @Test func freedAndUnusedFramesOfOneBlockAreToldApart() throws {
        let machine = try CheckedMachine(.poison, dirt: 0x3c)
        let frames = (0..<200).map { _ in machine.allocate() }
        for frame in frames where frame != nil && frame!.rawValue % 3 == 0 { machine.free(frame!) }
        for frame in frames where frame != nil && frame!.rawValue % 3 != 0 { machine.free(frame!) }
        while machine.allocate(10) != nil {}
        while machine.allocate() != nil {}
        try machine.check()
    }

    @Test func oneBitIsCalledOneBit() throws {
        let machine = try CheckedMachine(.poison)
        let frame = try #require(machine.allocate())
        for (bits, isSingle) in [(0x20, true), (0x01, true), (0x21, false)] as [(UInt8, Bool)] {
            machine.free(frame)
            machine[frame, 77] = 0xaa ^ bits
            #expect(machine.allocate() == frame)
            let violation = try #require(machine.takeViolations().first)
            #expect("\(violation.detail)".hasPrefix(isSingle ? "one bit" : "a free frame"))
        }
    }

    @Test(arguments: [FrameChecks.poison, .poison | .zeroOnFree, .zeroOnFree, .zeroOnAllocation, .owners])
    func aCallerThatWantsZeroesGetsThem(checks: FrameChecks) throws {
        let machine = try CheckedMachine(checks, dirt: 0x3c)
        for order in [0, 2, 10] {
            let block = try #require(machine.allocate(order, .kernel | .zero))
            #expect(machine.bytes(block, count: 4096 << order).allSatisfy { $0 == 0 })
            machine[block, 9] = 9
            machine.free(block, order)
            #expect(machine.allocate(order, .kernel | .zero) == block)
            #expect(machine[block, 9] == 0)
            machine.free(block, order)
        }
        try machine.check()
    }

    @Test func initOnAllocZeroesForEverybody() throws {
        let machine = try CheckedMachine(.zeroOnAllocation, dirt: 0x3c)
        let block = try #require(machine.allocate(2))
        #expect(machine.bytes(block, count: 4 * 4096).allSatisfy { $0 == 0 })
        #expect(machine.run { $0.promise(frames: 1) })
        let promised = try #require(machine.run { $0.allocatePromised(flags: .kernel) })
        #expect(machine.bytes(promised).allSatisfy { $0 == 0 })
    }

    /// With poison, freed frames are filled and not zeroed; either way nothing is left of what was there.
    @Test(arguments: [(FrameChecks.zeroOnFree, 0), (.zeroOnFree | .poison, 0xaa)] as [(FrameChecks, UInt8)])
    func initOnFreeLeavesNothing(checks: FrameChecks, left: UInt8) throws {
        let machine = try CheckedMachine(checks, dirt: 0x3c)
        let block = try #require(machine.allocate(1))
        #expect(machine[block, 0] == 0x3c)
        machine.free(block, 1)
        #expect(machine.bytes(block, count: 8192).allSatisfy { $0 == left })
    }

    @Test func aPromisedFrameIsVerified() throws {
        let machine = try CheckedMachine(.poison)
        let frame = try #require(machine.allocate())
        machine.free(frame)
        machine[frame, 5] = 5
        #expect(machine.run { $0.promise(frames: 1) })
        #expect(machine.run { $0.allocatePromised() } == frame)
        #expect(machine.takeViolations().map(\.kind) == [.writeAfterFree])
    }

    /// The fast ways know nothing of checks, and so must have nothing to give.
    @Test(arguments: [FrameChecks.poison, .zeroOnAllocation, .zeroOnFree, .owners, .guardPages])
    func checksKeepTheFrameCachesOff(check: FrameChecks) throws {
        let machine = try CheckedMachine(check)
        machine.run { $0.setFrameCaches(enabled: true) }
        let frames = try (0..<40).map { _ in try #require(machine.allocate()) }
        for frame in frames { machine.free(frame) }
        #expect(machine.cachedFrames == 0)
        try machine.check()
        // And without a check they are on.
        let unchecked = try CheckedMachine(.none)
        unchecked.free(try #require(unchecked.allocate()))
        #expect(unchecked.cachedFrames > 0)
    }

    @Test func unknownAndKnownWrongFreesTouchNoMemory() throws {
        let machine = try CheckedMachine(.poison | .owners)
        let block = try #require(machine.allocate(2))
        machine[block, 0] = 1
        machine.free(block, 1)
        machine.free(block + 1)
        machine.free(PageFrameNumber(0))
        machine.free(PageFrameNumber(1 << 40))
        #expect(machine.takeViolations().map(\.kind) == [.wrongOrder, .freeOfTail, .wildFree, .wildFree])
        #expect(machine[block, 0] == 1)
        machine.free(block, 2)
        try machine.check()
    }

    /// Frames of a contiguous range are checked as others are.
    @Test func aContiguousRangeIsChecked() throws {
        let machine = try CheckedMachine(.poison | .zeroOnAllocation | .owners, dirt: 0x5a)
        let block = try #require(machine.allocate(3))
        machine.free(block, 3)
        machine[block, 4096 + 7] = 1
        let range = block..<block + 8
        machine.run { frames in
            do throws(ContiguousError) { try frames.allocateContiguous(range) } catch { Issue.record("\(error)") }
        }
        #expect(machine.takeViolations().map(\.kind) == [.writeAfterFree])
        #expect(machine.bytes(block, count: 8 * 4096).allSatisfy { $0 == 0 })
        #expect(try #require(machine.history(block + 3)).order == 0)
        #expect(machine.run { $0.freeContiguous(range) })
        try machine.check()
    }
}
