import BootMemory
import MemoryPrimitives
import SimulatedMachine

@testable import PageFrames

typealias TestedFrames = PageFrameAllocator<SimulatedPlatform>

/// A simulated machine whose memory a page frame allocator has taken over.
final class FrameMachine: @unchecked Sendable {
    struct TooLittleMemory: Error {}

    let machine: SimulatedMachine
    let permanent: Permanent<TestedFrames>
    private let place: UnsafeMutablePointer<TestedFrames>

    /// The frames that were handed over, ascending.
    let handedOver: [Range<UInt>]
    let metadata: [(range: PhysicalRange, owner: RegionOwner)]

    /// - Parameters:
    ///   - memory: what is RAM, in frame numbers.
    ///   - reserved: what is in use already, in frame numbers.
    ///   - options: what counts to the last frame has neither caches nor reserves.
    init(
        memory: [Range<UInt>], reserved: [Range<UInt>] = [], cpuCount: Int = 1, options: PageFrameOptions = .exact,
        maximumRuns: Int = .max
    ) throws {
        let highest = memory.map(\.upperBound).max()!
        let machine = SimulatedMachine(memory: highest * 4096, cpuCount: cpuCount)
        let lists = BootLists(memory: memory, reserved: reserved)
        guard let taken = lists.takeOver(on: machine, options: options, maximumRuns: maximumRuns) else {
            throw TooLittleMemory()
        }
        permanent = taken.frames
        place = taken.place
        handedOver = lists.free
        metadata = lists.reserved.filter { $0.owner == .frameTable || $0.owner == .zones }
        self.machine = machine
    }

    deinit {
        permanent.destroy()
        place.deallocate()
    }

    /// A machine whose RAM begins at the second MiB, as a real one's usually does.
    convenience init(mebibytes: UInt, cpuCount: Int = 1, options: PageFrameOptions = .exact) throws {
        try self.init(memory: [256..<mebibytes * 256], cpuCount: cpuCount, options: options)
    }

    func run<Result>(onCPU cpu: Int = 0, _ body: (borrowing TestedFrames) throws -> Result) rethrows -> Result {
        try machine.run(onCPU: cpu) { try body(permanent.value) }
    }

    /// Allocates on CPU 0. A method of this copyable class, which the testing macros can take apart.
    func allocate(order: Int, flags: AllocationFlags = .kernel) -> PageFrameNumber? {
        run { $0.allocate(order: order, flags: flags) }
    }

    func allocatePromised(flags: AllocationFlags = .kernel) -> PageFrameNumber? {
        run { $0.allocatePromised(flags: flags) }
    }

    func promise(_ frames: Int) -> Bool { run { $0.promise(frames: frames) } }

    func statistics(_ kind: ZoneKind) -> ZoneStatistics { run { $0.statistics(of: kind) } }

    /// Changes a zone's state by hand.
    func withZone<Result>(_ kind: ZoneKind, _ body: (inout ZoneState) -> Result) -> Result {
        machine.run { permanent.value.zones[kind.rawValue].value.withState { body(&$0) } }
    }

    /// The block that a zone holds. To ask does not merge it.
    func held(_ kind: ZoneKind) -> (frame: UInt, order: Int)? {
        machine.run {
            let block = permanent.value.zones[kind.rawValue].value.withUnsettledState { $0.held }
            return block.isNone ? nil : (UInt(block.frame), Int(block.order))
        }
    }

    /// The blocks in a CPU's ring, the coldest first.
    func ring(
        ofCPU cpu: Int = 0, _ kind: ZoneKind, _ mobility: Mobility = .unmovable, order: Int = 0
    ) -> (frames: [UInt32], high: UInt32, batch: UInt32, limit: UInt32) {
        machine.run {
            let place = FrameCacheLayout.ring(zone: kind.rawValue, mobility, order: order)
            let ring = permanent.value.caches.pointer(cpu).pointee.rings[place]
            return ((0..<Int(ring.count)).map { ring.frames[$0] }, ring.high, ring.batch, ring.limit)
        }
    }

    func mobility(of frame: PageFrameNumber) -> Mobility {
        machine.run { permanent.value.table.pageBlock(UInt32(frame.rawValue >> 9)).mobility }
    }

    func state(_ frame: UInt) -> FrameState { run { $0.state(of: PageFrameNumber(frame)) } }

    /// The number of frames that were handed over.
    var handedOverCount: UInt { handedOver.reduce(0) { $0 + UInt($1.count) } }

    /// The kinds of the violations reported since the last call.
    func takeKinds() -> [MemoryViolation.Kind] { machine.takeViolations().map(\.kind) }

    /// Everything that must be as before after an operation that changes nothing. The frame caches are drained.
    func snapshot() -> [[UInt]] {
        machine.run {
            permanent.value.drainFrameCaches()
            return ZoneKind.allCases.map { kind in
                let zone = permanent.value.statistics(of: kind)
                return (0...10).map { zone.freeBlocks[$0] } + [
                    zone.managedFrames, zone.freeFrames, zone.promisedFrames,
                ]
            }
        }
    }
}

/// A boot allocator over the test's own arrays.
final class BootLists {
    var boot: BootAllocator
    private let storage: [UnsafeMutableBufferPointer<Region>]

    init(memory: [Range<UInt>], reserved: [Range<UInt>] = []) {
        storage = (0..<2).map { _ in .allocate(capacity: max(memory.count, reserved.count) * 2 + 16) }
        boot = BootAllocator(memoryStorage: storage[0], reservedStorage: storage[1])
        for range in memory { boot.add(Self.bytes(range)) }
        for range in reserved { boot.reserve(Self.bytes(range), owner: .other) }
    }

    deinit { for array in storage { array.deallocate() } }

    /// A page frame allocator that takes over what is free; nil where there is too little memory.
    func takeOver(
        on machine: SimulatedMachine, options: PageFrameOptions = .exact, maximumRuns: Int = .max
    ) -> (frames: Permanent<TestedFrames>, place: UnsafeMutablePointer<TestedFrames>)? {
        machine.run {
            let taken = TestedFrames(
                takingOver: &boot, directMap: machine.arena.directMap, options: options,
                maximumRuns: maximumRuns)
            guard let taken else { return nil }
            let place = UnsafeMutablePointer<TestedFrames>.allocate(capacity: 1)
            return (Permanent(placing: taken, at: place), place)
        }
    }

    private static func bytes(_ range: Range<UInt>) -> PhysicalRange {
        PhysicalRange(PageFrameNumber(range.lowerBound).address, PageFrameNumber(range.upperBound).address)
    }

    /// The whole free frames.
    var free: [Range<UInt>] {
        var ranges: [Range<UInt>] = []
        boot.forEachFreeRange { range in
            guard let whole = range.wholePages() else { return }
            ranges.append(whole.start.rawValue / 4096..<whole.end.rawValue / 4096)
        }
        return ranges
    }

    var reserved: [(range: PhysicalRange, owner: RegionOwner)] {
        var ranges: [(range: PhysicalRange, owner: RegionOwner)] = []
        boot.forEachReserved { range, owner in ranges.append((range, owner)) }
        return ranges
    }
}
