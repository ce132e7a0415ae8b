import BootMemory
import MemoryPrimitives
import SimulatedMachine

@testable import PageFrames

typealias Frames = PageFrameAllocator<SimulatedPlatform>

/// What a scenario found wrong.
struct Wrong: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// A simulated machine whose memory a page frame allocator has taken over.
final class ScenarioMachine: @unchecked Sendable {
    let machine: SimulatedMachine
    let frames: Permanent<Frames>
    private let place: UnsafeMutablePointer<Frames>

    /// The frames that were handed over, ascending.
    let handedOver: [Range<UInt>]

    /// Where the descriptors' table lies.
    let tableStart: PhysicalAddress

    /// The number of frames that were handed over.
    var handedOverCount: UInt { handedOver.reduce(0) { $0 + UInt($1.count) } }

    /// - Parameters:
    ///   - memory: what is RAM, in frame numbers, ascending.
    ///   - minimumFreeKiB: what is kept in reserve: nothing, so that a scenario can have the last frame.
    init(memory: [Range<UInt>], cpuCount: Int = 1, frameCaches: Bool, minimumFreeKiB: UInt? = 0) throws {
        let machine = SimulatedMachine(memory: memory.last!.upperBound * PageSize.byteCount, cpuCount: cpuCount)
        let storage: [UnsafeMutableBufferPointer<Region>] = [
            .allocate(capacity: memory.count + 16), .allocate(capacity: memory.count + 16),
        ]
        defer { for array in storage { array.deallocate() } }
        var boot = BootAllocator(memoryStorage: storage[0], reservedStorage: storage[1])
        for range in memory {
            boot.add(
                PhysicalRange(PageFrameNumber(range.lowerBound).address, PageFrameNumber(range.upperBound).address))
        }
        var options = PageFrameOptions()
        options.frameCaches = frameCaches
        options.minimumFreeKiB = minimumFreeKiB
        let taken: (Permanent<Frames>, UnsafeMutablePointer<Frames>)? = machine.run {
            let taken = Frames(takingOver: &boot, directMap: machine.arena.directMap, options: options)
            guard let taken else { return nil }
            let place = UnsafeMutablePointer<Frames>.allocate(capacity: 1)
            return (Permanent(placing: taken, at: place), place)
        }
        guard let taken else { throw Wrong("too little memory") }
        (frames, place) = taken
        var free: [Range<UInt>] = []
        boot.forEachFreeRange { range in
            guard let whole = range.wholePages() else { return }
            free.append(whole.start.rawValue / PageSize.byteCount..<whole.end.rawValue / PageSize.byteCount)
        }
        handedOver = free
        var table = PhysicalAddress.zero
        boot.forEachReserved { range, owner in if owner == .frameTable { table = range.start } }
        tableStart = table
        self.machine = machine
    }

    deinit {
        frames.destroy()
        place.deallocate()
    }

    /// Runs `body` as a CPU of the machine.
    func run<Result>(onCPU cpu: Int = 0, _ body: (borrowing Frames) throws -> Result) rethrows -> Result {
        try machine.run(onCPU: cpu) { try body(frames.value) }
    }

    func statistics(_ kind: ZoneKind) -> ZoneStatistics { run { $0.statistics(of: kind) } }

    var freeFrames: UInt { run { $0.freeFrames } }

    /// The kinds of the violations reported since the last call.
    func takeKinds() -> [MemoryViolation.Kind] { machine.takeViolations().map(\.kind) }
}
