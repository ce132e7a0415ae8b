import BootMemory
import MemoryPrimitives
import SimulatedMachine
import Testing

@testable import PageFrames

typealias Frames = PageFrameAllocator<SimulatedPlatform>

/// A simulated machine whose memory page frames have taken over, without reserves.
final class Machine: @unchecked Sendable {
    struct TooLittleMemory: Error {}

    let simulated: SimulatedMachine
    let frames: Permanent<Frames>
    private let place: UnsafeMutablePointer<Frames>

    /// - Parameters:
    ///   - memory: what is RAM, in frame numbers.
    ///   - reserved: what of it is in use already.
    init(
        memory: [Range<UInt>], reserved: [Range<UInt>] = [], cpuCount: Int = 1, contiguousByteCount: UInt = 0,
        minimumFreeKiB: UInt? = 0, maximumRuns: Int = .max
    ) throws {
        let simulated = SimulatedMachine(memory: memory.map(\.upperBound).max()! * 4096, cpuCount: cpuCount)
        let storage: [UnsafeMutableBufferPointer<Region>] = (0..<2).map { _ in .allocate(capacity: 64) }
        defer { for array in storage { array.deallocate() } }
        var boot = BootAllocator(memoryStorage: storage[0], reservedStorage: storage[1])
        for range in memory { boot.add(Self.bytes(range)) }
        for range in reserved { boot.reserve(Self.bytes(range), owner: .other) }
        var options = PageFrameOptions()
        options.minimumFreeKiB = minimumFreeKiB
        options.contiguousByteCount = contiguousByteCount
        let place = UnsafeMutablePointer<Frames>.allocate(capacity: 1)
        let taken: Permanent<Frames>? = simulated.run {
            guard
                let taken = Frames(
                    takingOver: &boot, directMap: simulated.arena.directMap, options: options,
                    maximumRuns: maximumRuns)
            else { return nil }
            return Permanent(placing: taken, at: place)
        }
        guard let taken else {
            place.deallocate()
            throw TooLittleMemory()
        }
        frames = taken
        self.place = place
        self.simulated = simulated
    }

    /// RAM from the second MiB on.
    convenience init(mebibytes: UInt, cpuCount: Int = 1, contiguousByteCount: UInt = 0) throws {
        try self.init(
            memory: [256..<mebibytes * 256], cpuCount: cpuCount, contiguousByteCount: contiguousByteCount)
    }

    deinit {
        frames.destroy()
        place.deallocate()
    }

    func run<Result>(onCPU cpu: Int = 0, _ body: () throws -> Result) rethrows -> Result {
        try simulated.run(onCPU: cpu, body)
    }

    /// What must be as before after a call that changes nothing: what is free, in blocks of each order, and promised.
    func snapshot() -> [[UInt]] {
        frames.value.drainFrameCaches()
        return [ZoneKind.dma, .dma32, .normal].map { kind in
            let zone = frames.value.statistics(of: kind)
            return (0...10).map { zone.freeBlocks[$0] } + [zone.managedFrames, zone.freeFrames, zone.promisedFrames]
        }
    }

    /// As `snapshot`, where free blocks may have been put together or brought into use meanwhile.
    func counts() -> [[UInt]] { snapshot().map { Array($0.suffix(3)) } }

    /// The kinds of the violations reported since the last call.
    func takeKinds() -> [MemoryViolation.Kind] { simulated.takeViolations().map(\.kind) }

    func pointer(_ frame: PageFrameNumber) -> UnsafeMutableRawPointer { frames.value.directMap.pointer(to: frame) }

    private static func bytes(_ range: Range<UInt>) -> PhysicalRange {
        PhysicalRange(PageFrameNumber(range.lowerBound).address, PageFrameNumber(range.upperBound).address)
    }
}

struct Missing: Error {}

/// The value, or a failed test. (The macro that does this takes calls apart, which an owner that cannot be copied does
/// not allow.)
func need<Value>(_ value: Value?, sourceLocation: SourceLocation = #_sourceLocation) throws -> Value {
    if let value { return value }
    Issue.record("a value is missing", sourceLocation: sourceLocation)
    throw Missing()
}

/// Why a contiguous range cannot be had; nil where it was allocated.
func failure(_ machine: Machine, _ range: Range<PageFrameNumber>, _ flags: AllocationFlags = .kernel)
    -> ContiguousError?
{
    do throws(ContiguousError) {
        try machine.frames.value.allocateContiguous(range, flags: flags)
        return nil
    } catch {
        return error
    }
}
