import MemoryPrimitives
import SimulatedMachine
import Synchronization
import Testing

@testable import PageFrames

/// A cache of frames that gives them back when it is asked to.
private struct FrameHoard: Shrinker, ~Copyable {
    let frames: Permanent<TestedFrames>
    let held = Mutex<[PageFrameNumber]>([])
    /// Each call to `scan`, by how much was asked for.
    let scans = Mutex<[UInt]>([])
    let flags = Mutex<Set<UInt32>>([])
    /// How many calls come to nothing before it gives anything.
    let stubbornness = Atomic<Int>(0)

    init(_ frames: Permanent<TestedFrames>) { self.frames = frames }

    borrowing func count(for flags: AllocationFlags) -> UInt { UInt(held.withLock { $0.count }) }

    borrowing func scan(_ target: UInt, for flags: AllocationFlags) -> UInt {
        scans.withLock { $0.append(target) }
        self.flags.withLock { _ = $0.insert(flags.rawValue) }
        if stubbornness.load(ordering: .relaxed) > 0 {
            stubbornness.subtract(1, ordering: .relaxed)
            return 0
        }
        let given = held.withLock { held in
            let given = held.suffix(Int(target))
            held.removeLast(given.count)
            return given
        }
        for frame in given { frames.value.free(frame, order: 0) }
        return UInt(given.count)
    }
}

/// What happens when memory runs short.
@Suite struct ReclaimTests {
    /// A machine with one zone, and caches of frames in it.
    private final class Machine {
        let frames: FrameMachine
        private(set) var hoards: [Permanent<FrameHoard>] = []
        private var places: [UnsafeMutablePointer<FrameHoard>] = []

        init(_ options: PageFrameOptions = .reserved) throws {
            frames = try FrameMachine(memory: [8192..<8192 + 16384], options: options)
        }

        deinit {
            for place in places {
                place.deinitialize(count: 1)
                place.deallocate()
            }
        }

        func addHoard(_ count: Int, stubbornness: Int = 0) throws {
            let place = UnsafeMutablePointer<FrameHoard>.allocate(capacity: 1)
            places.append(place)
            let hoard = Permanent(placing: FrameHoard(frames.permanent), at: place)
            hoards.append(hoard)
            hoard.value.stubbornness.store(stubbornness, ordering: .relaxed)
            for _ in 0..<count {
                let frame = try #require(frames.allocate(order: 0))
                hoard.value.held.withLock { $0.append(frame) }
            }
            #expect(frames.run { $0.shrinkers.register(hoard) } != nil)
        }

        func scans(_ index: Int = 0) -> [UInt] { hoards[index].value.scans.withLock { $0 } }
        func held(_ index: Int = 0) -> Int { hoards[index].value.held.withLock { $0.count } }
        func flags(_ index: Int = 0) -> Set<UInt32> { hoards[index].value.flags.withLock { $0 } }

        var marks: Watermarks { frames.withZone(.dma32) { $0.watermarks } }
        var free: UInt { frames.statistics(.dma32).freeFrames }
        var wantsReclaim: Bool { frames.run { $0.wantsReclaim } }

        /// Takes frames, without waiting, until the next request finds no more than `mark` free.
        func take(downTo mark: UInt) throws {
            while free > mark { _ = try #require(frames.allocate(order: 0, flags: .noWait)) }
        }

        /// Forgets what was asked so far.
        func forget() {
            _ = frames.run { $0.isReclaimWanted.exchange(false, ordering: .relaxed) }
            for hoard in hoards { hoard.value.scans.withLock { $0 = [] } }
        }
    }

    @Test func belowLowTheReclaimerIsAskedForHelp() throws {
        let machine = try Machine()
        try machine.addHoard(3000)
        try machine.take(downTo: machine.marks.low + 1)
        #expect(machine.scans() == [] && !machine.wantsReclaim)
        _ = try #require(machine.frames.allocate(order: 0))
        #expect(machine.scans() == [] && !machine.wantsReclaim)
        // The next one finds the zone at its low mark. Who must not wait only says so, ...
        for flags: AllocationFlags in [.noWait, .atomic] {
            _ = try #require(machine.frames.allocate(order: 0, flags: flags))
            #expect(machine.scans() == [] && machine.wantsReclaim)
        }
        // ... who may neither wait nor wake says nothing, ...
        machine.forget()
        _ = try #require(machine.frames.allocate(order: 0, flags: .high))
        #expect(!machine.wantsReclaim)
        // ... and who may wait does the work.
        let free = machine.free
        _ = try #require(machine.frames.allocate(order: 0))
        #expect(machine.scans() == [machine.marks.high - free])
        #expect(machine.flags() == [AllocationFlags.kernel.rawValue])
        #expect(!machine.wantsReclaim)
        #expect(machine.free == machine.marks.high - 1)
        try machine.frames.run { try $0.checkInvariants() }
    }

    /// The background reclaimer brings every zone above its high mark, once it was asked to.
    @Test(arguments: [PageFrameOptions.reserved, .usual])
    func theBackgroundReclaimerStopsAboveHigh(options: PageFrameOptions) throws {
        let machine = try Machine(options)
        try machine.addHoard(3000)
        #expect(machine.frames.run { $0.reclaimIfAsked() } == 0)
        #expect(machine.scans() == [])
        try machine.take(downTo: machine.marks.min)
        #expect(machine.wantsReclaim && machine.scans() == [])
        let missing = machine.marks.high - machine.free
        let returned = machine.frames.run { $0.reclaimIfAsked() }
        #expect(returned >= missing && returned < missing + 128)
        machine.frames.run { $0.drainFrameCaches() }
        #expect(machine.free >= machine.marks.high)
        #expect(!machine.wantsReclaim)
        #expect(machine.frames.run { $0.reclaimIfAsked() } == 0)
    }

    @Test func pressureIsInProportion() throws {
        let machine = try Machine()
        try machine.addHoard(6000)
        try machine.addHoard(2000)
        try machine.addHoard(0)
        try machine.take(downTo: machine.marks.min)
        let missing = machine.marks.high - machine.free
        machine.frames.run { _ = $0.reclaimIfAsked() }
        let given = [6000 - machine.held(0), 2000 - machine.held(1)]
        #expect(UInt(given[0] + given[1]) >= missing)
        #expect(abs(given[0] - 3 * given[1]) <= 3)
        #expect(machine.scans(2) == [])
    }

    /// Below min a request that may wait asks for itself, and is served.
    @Test(arguments: [PageFrameOptions.reserved, .usual], [0, 1, 3])
    func directReclaimServesWhoMayWait(options: PageFrameOptions, order: Int) throws {
        let machine = try Machine(options)
        // The first call, for the background reclaimer, comes to nothing.
        try machine.addHoard(4000, stubbornness: 1)
        try machine.take(downTo: machine.marks.min)
        machine.frames.run { $0.drainFrameCaches() }
        try machine.take(downTo: machine.marks.min)
        #expect(machine.frames.allocate(order: order, flags: .noWait | .noWarn) == nil)
        #expect(machine.scans() == [])
        #expect(machine.frames.allocate(order: order) != nil)
        #expect(machine.scans().count >= 2)
        #expect(machine.frames.machine.takeFailedAllocations().isEmpty)
    }

    /// How often a request tries that gets nothing; the background reclaimer's try comes before.
    @Test(
        arguments: [
            (.kernel, 0, 16), (.kernel, 3, 16), (.kernel | .noRetry, 0, 1), (.kernel, 4, 1),
            (.kernel | .retryMayFail, 4, 16),
            (.kernel | .retryMayFail, 0, 16), (.noWait, 0, 0), (.atomic | .memoryReserves, 4, 0),
        ] as [(AllocationFlags, Int, Int)])
    func attemptsFollowTheFlags(flags: AllocationFlags, order: Int, attempts: Int) throws {
        let machine = try Machine()
        try machine.addHoard(1000, stubbornness: .max)
        try machine.take(downTo: machine.marks.min)
        machine.frames.withZone(.dma32) { state in state.promisedFrames = state.freeFrames - state.watermarks.min }
        if flags.contains(.memoryReserves) { while machine.frames.allocate(order: 4, flags: flags | .noWarn) != nil {} }
        machine.forget()
        let before = machine.frames.snapshot()
        #expect(machine.frames.allocate(order: order, flags: flags) == nil)
        let background = flags.mayWait ? 1 : 0
        // In each round the shrinker is asked for its share, and then for the rest.
        #expect(machine.scans().count == 2 * (attempts + background))
        #expect(machine.frames.snapshot() == before)
        #expect(machine.held() == 1000)
        #expect(machine.frames.machine.takeFailedAllocations().count == 1)
    }

    /// `.noFail` goes to the last frame of the reserves, and then waits until there is one.
    @Test func noFailDoesNotFail() throws {
        let machine = try Machine()
        try machine.addHoard(10, stubbornness: .max)
        try machine.take(downTo: machine.marks.min)
        let reserve = machine.free
        for _ in 0..<reserve { _ = try #require(machine.frames.allocate(order: 0, flags: .kernel | .noFail)) }
        #expect(machine.free == 0)
        #expect(machine.frames.allocate(order: 0, flags: .kernel | .noWarn) == nil)
        machine.forget()
        machine.hoards[0].value.stubbornness.store(100, ordering: .relaxed)
        #expect(machine.frames.allocate(order: 0, flags: .kernel | .noFail) != nil)
        #expect(machine.scans().count > 100)
        #expect(machine.frames.machine.takeFailedAllocations().isEmpty)
    }

    /// Nor does it fail where it may use all reserves: others that may do not reclaim.
    @Test func noFailWithTheReservesDoesNotFail() throws {
        let machine = try Machine()
        try machine.addHoard(10, stubbornness: .max)
        let reserves: AllocationFlags = .kernel | .memoryReserves
        while machine.frames.allocate(order: 0, flags: reserves | .noWarn) != nil {}
        #expect(machine.free == 0 && machine.held() == 10)
        machine.hoards[0].value.stubbornness.store(100, ordering: .relaxed)
        for _ in 0..<10 { #expect(machine.frames.allocate(order: 0, flags: reserves | .noFail) != nil) }
        #expect(machine.frames.machine.takeFailedAllocations().isEmpty)
    }

    /// Neither an urgent request, nor one that only believes it may wait, calls a shrinker.
    @Test func whoMustNotWaitCallsNoShrinker() throws {
        let machine = try Machine()
        try machine.addHoard(1000)
        try machine.take(downTo: machine.marks.min)
        while machine.frames.allocate(order: 0, flags: .atomic | .noWarn) != nil {}
        machine.frames.run { frames in
            let interrupts = SimulatedPlatform.disableInterrupts()
            _ = frames.allocate(order: 0, flags: .kernel | .noWarn)
            SimulatedPlatform.restoreInterrupts(interrupts)
        }
        #expect(machine.frames.takeKinds() == [.waitInAtomicContext])
        #expect(machine.scans() == [] && machine.wantsReclaim)
    }
}
