import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import PageFrames

/// Watermarks in action: what ordinary requests leave for those who cannot wait.
@Suite struct ReserveTests {
    private static let quiet: AllocationFlags = .noWarn | .noRetry

    private func takeAll(_ machine: FrameMachine, _ flags: AllocationFlags) -> [PageFrameNumber] {
        var taken: [PageFrameNumber] = []
        while let frame = machine.allocate(order: 0, flags: flags | Self.quiet) { taken.append(frame) }
        machine.run { $0.drainFrameCaches() }
        return taken
    }

    /// The deeper a request may go, the less is left behind it.
    @Test(arguments: [PageFrameOptions.reserved, .usual])
    func eachKindOfRequestStopsAtItsMark(options: PageFrameOptions) throws {
        let machine = try FrameMachine(mebibytes: 64, options: options)
        let before = machine.snapshot()
        let marks = [ZoneKind.dma, .dma32].map { kind in machine.withZone(kind) { $0.watermarks } }
        // The reserve of a machine with 64 MiB: 1 MiB, less a little for what was gone before.
        #expect((250...256).contains(marks[0].min + marks[1].min))
        #expect(marks.allSatisfy { $0.min > 16 && $0.low == $0.min + $0.min / 4 && $0.high == $0.low + $0.min / 4 })
        #expect(marks[0].lowmemReserve[2] > 40 && marks[1].lowmemReserve[2] == 0)

        func left() -> [UInt] { [ZoneKind.dma, .dma32].map { machine.statistics($0).freeFrames } }
        var taken = takeAll(machine, .kernel)
        #expect(left() == marks.map { $0.min + $0.lowmemReserve[2] })
        taken += takeAll(machine, .noWait)
        #expect(left() == marks.map { $0.min + $0.lowmemReserve[2] })
        taken += takeAll(machine, .noWait | .high)
        #expect(left() == marks.map { $0.min - $0.min / 2 + $0.lowmemReserve[2] })
        taken += takeAll(machine, .atomic)
        #expect(left() == marks.map { ($0.min - $0.min / 2) - ($0.min - $0.min / 2) / 4 + $0.lowmemReserve[2] })
        let deepest = left()
        taken += takeAll(machine, .atomic | .memoryReserves | .noMemoryReserves)
        #expect(left()[0] <= deepest[0] && left()[1] <= deepest[1] + 20)
        taken += takeAll(machine, .kernel | .memoryReserves)
        #expect(left() == [0, 0])
        #expect(Set(taken).count == taken.count && UInt(taken.count) == machine.handedOverCount)
        machine.run { frames in for frame in taken { frames.free(frame, order: 0) } }
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds().isEmpty)
    }

    /// A block must leave the mark as it is after the whole of it was taken.
    @Test(arguments: [1, 3, 5]) func largerBlocksStopEarlier(order: Int) throws {
        let machine = try FrameMachine(memory: [8192..<24576], options: .reserved)
        let min = machine.withZone(.dma32) { $0.watermarks.min }
        var taken = 0
        while machine.allocate(order: order, flags: .noWait | .noWarn) != nil { taken += 1 }
        let left = machine.statistics(.dma32).freeFrames
        #expect(taken > 100)
        #expect(left >= min && left < min + 1 << UInt(order))
    }

    /// DMA memory is kept from those who could have had other memory, and not from those who need it.
    @Test(arguments: [PageFrameOptions.reserved, .usual])
    func lowMemoryIsKeptFromOrdinaryRequests(options: PageFrameOptions) throws {
        let fourGiB: UInt = 1 << 20
        let machine = try FrameMachine(memory: [1024..<4096, fourGiB..<fourGiB + 65536], options: options)
        let marks = machine.withZone(.dma) { $0.watermarks }
        #expect(marks.lowmemReserve[2] >= 250 && marks.lowmemReserve[0] == 0)
        _ = takeAll(machine, .kernel)
        #expect(machine.statistics(.dma).freeFrames == marks.min + marks.lowmemReserve[2])
        let needed = takeAll(machine, .kernel | .dma)
        #expect(UInt(needed.count) == marks.lowmemReserve[2])
        #expect(needed.allSatisfy { ZoneKind(of: $0) == .dma })
        #expect(machine.statistics(.dma).freeFrames == marks.min)
    }

    @Test(arguments: [PageFrameOptions.reserved, .usual])
    func promisesLeaveTheReserveAlone(options: PageFrameOptions) throws {
        let machine = try FrameMachine(mebibytes: 64, options: options)
        let before = machine.snapshot()
        let reserve = [ZoneKind.dma, .dma32].reduce(0) { sum, kind in sum + machine.withZone(kind) { $0.watermarks.min }
        }
        let promisable = machine.run { $0.promisableFrames }
        #expect(promisable == machine.handedOverCount - reserve)
        #expect(!machine.promise(Int(promisable) + 1))
        #expect(machine.promise(Int(promisable)))
        #expect(machine.run { $0.promisableFrames } == 0)
        #expect(machine.allocate(order: 0, flags: .kernel | Self.quiet) == nil)
        // The reserve is for urgent requests, and they cannot have what was promised either.
        let urgent = takeAll(machine, .atomic) + takeAll(machine, .kernel | .memoryReserves)
        #expect(UInt(urgent.count) == reserve)
        #expect(machine.run { $0.freeFrames } == promisable)
        var called: [PageFrameNumber] = []
        for _ in 0..<promisable { called.append(try #require(machine.allocatePromised())) }
        #expect(machine.run { $0.freeFrames } == 0)
        machine.run { frames in for frame in urgent + called { frames.free(frame, order: 0) } }
        #expect(machine.snapshot() == before)
        #expect(machine.takeKinds().isEmpty)
    }

    // MARK: Reports

    @Test(arguments: PageFrameOptions.combinations, [0, 3, 10])
    func aFailureIsReportedOnceAndChangesNothing(options: PageFrameOptions, order: Int) throws {
        let machine = try FrameMachine(mebibytes: 32, options: options)
        _ = takeAll(machine, .kernel)
        let before = machine.snapshot()
        #expect(machine.machine.takeFailedAllocations().isEmpty)
        for flags: AllocationFlags in [.kernel, .noWait, .kernel | .noRetry, .kernel | .retryMayFail, .kernel | .dma] {
            if machine.allocate(order: order, flags: flags | .noWarn) != nil { continue }
            #expect(machine.allocate(order: order, flags: flags) == nil)
            let reports = machine.machine.takeFailedAllocations()
            #expect(reports.map(\.order) == [order])
            #expect(reports.map(\.flags) == [flags.rawValue])
            #expect(machine.allocate(order: order, flags: flags | .noWarn) == nil)
            #expect(machine.machine.takeFailedAllocations().isEmpty)
            if flags.highestZone == .normal { #expect(machine.snapshot() == before) }
        }
        #expect(machine.takeKinds().isEmpty)
        try machine.run { try $0.checkInvariants() }
    }

    /// A request that may wait, made where that is not allowed, is reported and served.
    @Test(arguments: PageFrameOptions.combinations, [0, 2, 6])
    func waitingInAnAtomicContextIsReported(options: PageFrameOptions, order: Int) throws {
        let machine = try FrameMachine(mebibytes: 32, options: options)
        let lock = LockBox()
        func allocate(_ flags: AllocationFlags) -> PageFrameNumber? {
            machine.run { frames in lock.lock.withLock { frames.allocate(order: order, flags: flags) } }
        }
        for flags: AllocationFlags in [.kernel, .noIO, .user] {
            let block = try #require(allocate(flags))
            let reports = machine.machine.takeViolations()
            #expect(reports.map(\.kind) == [.waitInAtomicContext])
            #expect(reports.map { "\($0.call)" } == ["alloc_pages"])
            #expect(reports.map(\.address) == [UInt(flags.rawValue)])
            #expect(reports.map(\.value) == [UInt(order)])
            machine.run { frames in lock.lock.withLock { frames.free(block, order: order) } }
        }
        for flags: AllocationFlags in [.atomic, .noWait, .none] { #expect(allocate(flags) != nil) }
        #expect(machine.takeKinds().isEmpty)
    }

    private final class LockBox { let lock = SpinLock<SimulatedPlatform>() }
}
